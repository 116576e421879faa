"""Pure: image → localisation → embedding → index → registration → comparison → evidence → verdict."""  # noqa: E501
