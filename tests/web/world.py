"""A small deployment behind its HTTP API: real records and images, a tiny embedder."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import structlog
from blind import BLIND
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from PIL import Image
from structlog.testing import LogCapture
from structlog.typing import FilteringBoundLogger

from touchstone.blobs import LocalBlobs
from touchstone.bootstrap import Application
from touchstone.catalogue import Catalogue
from touchstone.engine.embedding import Vectors, prepare
from touchstone.engine.image import DecodeLimits, Pixels, grey
from touchstone.engine.policy import Policy
from touchstone.engine.rates import Validation
from touchstone.enrolment import Enroller
from touchstone.lots import Concluder
from touchstone.review import Reviewer
from touchstone.settings import Settings
from touchstone.store import Caller, OrganisationKind, Role, Store
from touchstone.verification import Verifier
from touchstone.web.app import create_app
from touchstone.web.limits import WebLimits

PEPPER = b"a pepper for the web's tests"
MAX_UPLOAD = 400_000


@dataclass(frozen=True)
class TinyEmbedder:
    """A picture's own 16 x 16 thumbnail, turned into a unit vector."""

    digest: str = sha256(b"tiny").hexdigest()
    dim: int = 256
    provider: str = "cpu"

    def embed(self, pictures: Sequence[Pixels]) -> Vectors:
        rows = [
            cv2.resize(grey(prepare(one, input_px=64)), (16, 16)).astype(np.float32)
            for one in pictures
        ]
        flat = np.stack([row.ravel() - row.mean() for row in rows])
        norms = np.linalg.norm(flat, axis=1, keepdims=True)
        return np.asarray(flat / np.maximum(norms, 1e-6), np.float32)


def _term(name: str, *, mean: float, std: float, weight: float) -> dict[str, object]:
    return {
        "name": name,
        "is_log": False,
        "offset": 0.0,
        "mean": mean,
        "std": std,
        "weight": weight,
    }


POLICY = Policy.from_json(
    json.dumps(
        {
            "version": "test",
            "identification": {
                "terms": [_term("log_inliers", mean=3.0, std=0.5, weight=2.0)],
                "bias": 0.0,
                "accept_logit": 0.0,
                "resemblance_similarity": 0.995,
                "sibling_margin": 1.0,
            },
            "fusion": {
                "experts": [
                    {
                        "name": "place",
                        "share": 1.0,
                        "terms": [_term("agreement", mean=0.85, std=0.05, weight=-3.0)],
                        "bias": 0.0,
                    }
                ]
            },
            "thresholds": {
                "log10_lr_floor": -3.0,
                "log10_lr_cap": 3.0,
                "consistent_log10_lr": 1.0,
                "inconsistent_log10_lr": -1.0,
                "other_gtin_log10_lr": 2.0,
            },
            "quality_limits": {},
            "photo_limits": {},
            "bands": [[1.0, "weak"], [2.0, "moderate"], [3.0, "strong"]],
            "error_rates": {"false_alarm": 0.001, "miss": 0.1},
        }
    ).encode()
)


# --- pictures -------------------------------------------------------------------------


def mark(seed: int, *, size_px: tuple[int, int] = (240, 320)) -> Pixels:
    """A printed face: blocks, rings and words that ``seed`` alone decides."""
    width, height = size_px
    rng = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 235, np.uint8)
    for _ in range(26):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        colour = tuple(int(value) for value in rng.integers(0, 200, 3))
        side = int(rng.integers(8, 40))
        cv2.rectangle(pixels, (x, y), (x + side, y + side // 2), colour, -1)
        cv2.circle(pixels, (y % width, x), side // 3, colour, 2)
    for line in range(4):
        words = "".join(chr(65 + int(n)) for n in rng.integers(0, 26, 9))
        at = (12, 40 + line * 70)
        cv2.putText(pixels, words, at, cv2.FONT_HERSHEY_SIMPLEX, 1.1, (10, 10, 10), 3)
    return pixels


def encoded(pixels: Pixels, file_format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **options)
    return buffer.getvalue()


def photographed(pixels: Pixels, *, scale: float = 1.3) -> Pixels:
    """``pixels`` on a table, turned a little."""
    height, width = pixels.shape[:2]
    frame = round(width * scale * 1.3), round(height * scale * 1.3)
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 7, scale)
    turn[:, 2] += (frame[0] - width) / 2, (frame[1] - height) / 2
    return np.asarray(
        cv2.warpAffine(pixels, turn, frame, borderValue=(90, 110, 120)), np.uint8
    )


# --- the deployment -------------------------------------------------------------------


class Log:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self._capture = LogCapture()
        self.logger: FilteringBoundLogger = structlog.wrap_logger(
            None, processors=[self._capture]
        )

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [dict(entry) for entry in self._capture.entries]


def application(
    folder: Path, database: str, *, max_bytes: int, **chosen: float
) -> Application:
    settings = Settings.load(data_dir=folder, max_upload_bytes=max_bytes, **chosen)
    store = Store.open(database, pepper=PEPPER, create=False)
    blobs = LocalBlobs(folder / "blobs")
    catalogue = Catalogue(store, blobs, TinyEmbedder())
    limits = DecodeLimits(max_bytes=max_bytes)
    verifier = Verifier(catalogue, blobs, store, BLIND, POLICY, limits)
    enroller = Enroller(catalogue, blobs, store, limits)
    return Application(
        settings=settings,
        store=store,
        blobs=blobs,
        catalogue=catalogue,
        enroller=enroller,
        verifier=verifier,
        reviewer=Reviewer(verifier),
        validation=Validation(),
        concluder=Concluder(store, Validation()),
    )


class Client:
    """The HTTP API, as one key sees it."""

    def __init__(self, http: TestClient, secret: str | None, caller: Caller | None):
        self.http = http
        self.secret = secret
        self._caller = caller

    @property
    def caller(self) -> Caller:
        if self._caller is None:
            raise LookupError("an anonymous client is nobody")
        return self._caller

    def request(self, method: str, path: str, **options: Any) -> Response:
        headers: Mapping[str, str] = options.pop("headers", {})
        if self.secret is not None:
            headers = {"Authorization": f"Bearer {self.secret}", **headers}
        return self.http.request(method, path, headers=headers, **options)

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Response:
        return self.request("PUT", path, **options)

    def examine(self, *photos: bytes, **options: Any) -> Response:
        files = [("photos", ("photo", data)) for data in photos]
        return self.post("/v1/examinations", files=files, **options)

    def enrol(self, set_id: str, *images: bytes, **options: Any) -> Response:
        files = [("images", (f"{n}.jpg", data)) for n, data in enumerate(images)]
        return self.post(
            f"/v1/reference-sets/{set_id}/specimens", files=files, **options
        )


@dataclass
class World:
    """Two brands, two authorities, the operator, and a key of each role."""

    parts: Application
    app: FastAPI
    http: TestClient
    log: Log
    organisations: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.operator = self.parts.store.ensure_local_operator("operator")
        self.organisations["operator"] = self.operator.organisation_id
        for name, kind in (
            ("acme", OrganisationKind.BRAND),
            ("bolt", OrganisationKind.BRAND),
            ("customs", OrganisationKind.CUSTOMS),
            ("police", OrganisationKind.POLICE),
        ):
            made = self.parts.store.create_organisation(
                self.operator, kind=kind, name=name
            )
            self.organisations[name] = made.id
        self.anonymous = Client(self.http, None, None)
        self.admin = self.key("operator", Role.ADMIN)
        self.acme = self.key("acme", Role.BRAND_OWNER)
        self.bolt = self.key("bolt", Role.BRAND_OWNER)
        self.officer = self.key("customs", Role.OFFICER)
        self.analyst = self.key("customs", Role.ANALYST)
        self.stranger = self.key("police", Role.OFFICER)

    def key(self, organisation: str, role: Role) -> Client:
        _, secret = self.parts.store.issue_key(
            self.operator,
            organisation_id=self.organisations[organisation],
            role=role,
            label="test",
        )
        return Client(self.http, secret, self.parts.store.authenticate(secret))

    def revoked(self) -> Client:
        client = self.key("acme", Role.BRAND_OWNER)
        self.parts.store.revoke_key(self.operator, str(client.caller.key_id))
        return client

    def reference_set(self, owner: Client, product_id: str = "P-1") -> str:
        """A new product of ``owner`` with an empty set; the set's id."""
        product = owner.post("/v1/products", json={"product_id": product_id}).json()
        made = owner.post(f"/v1/products/{product['id']}/reference-sets", json={})
        return str(made.json()["id"])

    def shared(
        self, owner: Client, *images: bytes, authority: str = "customs", **fields: str
    ) -> str:
        """A set of ``owner`` with ``images``, shared with ``authority``; its id."""
        set_id = self.reference_set(owner, **fields)
        assert owner.enrol(set_id, *images).status_code == 201
        authority_ids = [self.organisations[authority]]
        answer = owner.put(
            f"/v1/reference-sets/{set_id}/sharing",
            json={"authority_ids": authority_ids},
        )
        assert answer.status_code == 200
        return set_id

    def kept(self) -> tuple[int, int, int, int]:
        """How much is on record: blobs, examinations, products, audit events."""
        store, operator = self.parts.store, self.operator
        return (
            len(list(self.parts.blobs.digests())),
            len(store.list_examinations(operator, limit=1000).items),
            len(store.list_products(operator, limit=1000).items),
            store.verify_chain().events,
        )


def deployment(
    folder: Path,
    database: str,
    *,
    max_bytes: int = MAX_UPLOAD,
    limits: WebLimits | None = None,
    **chosen: float,
) -> World:
    parts = application(folder, database, max_bytes=max_bytes, **chosen)
    log = Log()
    app = create_app(parts, limits=limits, log=log.logger)
    return World(parts, app, TestClient(app), log)


def problem(answer: Response) -> str:
    """The kind of problem that ``answer`` is, after checking that it is one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return str(body["type"]).removeprefix("urn:touchstone:problem:")
