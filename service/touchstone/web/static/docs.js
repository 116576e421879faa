"use strict";
// The page's own directory, so that it works behind a proxy's path prefix too.
window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: false,
  validatorUrl: null, // else it would ask validator.swagger.io
  presets: [SwaggerUIBundle.presets.apis],
});
