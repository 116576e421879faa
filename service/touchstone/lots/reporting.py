"""A conclusion and the records behind it to the report of a lot."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from touchstone.blobs import Blobs
from touchstone.engine.image import Pixels, decode
from touchstone.engine.pictures import EvidencePictures
from touchstone.engine.rates import Trials, Validation
from touchstone.engine.record import read_finding
from touchstone.engine.wording import FindingKind
from touchstone.errors import ConfigurationError, NotFoundError
from touchstone.lots.concluding import (
    Conclusion,
    PrintingFound,
    conclusion_document,
)
from touchstone.lots.scoring import write_results
from touchstone.lots.settled import Concluder
from touchstone.reports import document as paper
from touchstone.reports.pdf import pdf_of
from touchstone.reports.pictures import montage
from touchstone.store import (
    Caller,
    Case,
    LotItem,
    Operation,
    Seizure,
    Store,
    canonical_json,
)

_EXEMPLARS = 3
_PRINTINGS_SHOWN = 12
_WORST = 6
_CONFIDENCE = 0.95
_Z = 1.959964
"""Of the normal distribution, for that confidence on two sides."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Makes reports of lots."""

    store: Store
    pictures: Callable[[Caller, str], EvidencePictures]
    validation: Validation

    def report(
        self,
        caller: Caller,
        conclusion: Conclusion,
        items: Sequence[LotItem],
        *,
        made_at: datetime,
    ) -> paper.LotReport:
        """Return all that is said of a lot, with its pictures.

        Raises:
            NotFoundError: the lot is not the caller's.
        """
        organisation = self.store.organisation(caller, conclusion.lot.organisation_id)
        known = {kind.value: kind for kind in FindingKind}
        by_position = {one.position: one for one in items}
        return paper.LotReport(
            lot=self._lot(caller, conclusion),
            made_at=made_at,
            organisation=organisation.name,
            sampling=_sampling(conclusion.lot.plan),
            counts=tuple(
                paper.FindingCount(known[name], count)
                for name, count in sorted(conclusion.findings.items())
            ),
            unreadable=conclusion.unreadable,
            share=_share(conclusion),
            homogeneity=conclusion.composition.sentence,
            printings=tuple(self._printings(caller, conclusion, by_position)),
            repeated_serials=tuple(
                paper.RepeatedSerial(one.serial, one.items)
                for one in conclusion.repeats
            ),
            triage=tuple(
                paper.TriageItem(
                    one.rank,
                    by_position[int(one.item)].name,
                    by_position[int(one.item)].examination_id or "",
                    one.reason,
                )
                for one in conclusion.triage
            ),
            worst_regions=tuple(self._worst(caller, items)),
            limits=paper.Limits(
                tuple(_rates(self.validation)), tuple(_sentences(conclusion))
            ),
            digests=tuple(_digest(one, known) for one in items),
            made_by=self._made_by(caller, items),
        )

    def _lot(self, caller: Caller, conclusion: Conclusion) -> paper.Lot:
        lot = conclusion.lot
        seizure = case = operation = None
        if lot.seizure_id is not None:
            seizure = self.store.filed(caller, Seizure, lot.seizure_id)
            case = self.store.filed(caller, Case, seizure.case_id)
            if case.operation_id is not None:
                operation = self.store.filed(caller, Operation, case.operation_id)
        return paper.Lot(
            id=lot.id,
            reference=lot.ref_no,
            declared_product=lot.declared_product,
            product_class=lot.product_class,
            batch_number=lot.batch_no,
            expiry=lot.expiry,
            units_total=lot.units_total,
            seizure_place=seizure.place if seizure else "",
            seizure_date=seizure.seized_on if seizure else None,
            seizure_country=seizure.country if seizure else "",
            legal_basis=seizure.legal_basis if seizure else "",
            case_reference=case.ref_no if case else "",
            handling_code=case.handling_code if case else "",
            operation=operation.name if operation else "",
        )

    def _printings(
        self, caller: Caller, conclusion: Conclusion, items: dict[int, LotItem]
    ) -> Iterator[paper.Printing]:
        total = sum(conclusion.findings.values()) or 1
        for one in conclusion.printings:
            exemplar = items[one.exemplar]
            shown = [exemplar.examination_id or ""]
            others = [items[place].examination_id or "" for place in one.items]
            shown += [each for each in others if each not in shown]
            drawn: list[EvidencePictures] = []
            if one.number <= _PRINTINGS_SHOWN:
                drawn = self._drawn(caller, shown[:_EXEMPLARS])
            yield paper.Printing(
                number=one.number,
                items=len(one.items),
                share=len(one.items) / total,
                summary=_summary(one, items),
                median_log10_lr=one.median_log10_lr,
                exemplar_image=exemplar.name,
                exemplar_examination_id=exemplar.examination_id or "",
                montage_png=montage([_pixels(p.overlay_png) for p in drawn])
                if drawn
                else None,
                deviation_png=drawn[0].deviation_png if drawn else None,
            )

    def _worst(
        self, caller: Caller, items: Sequence[LotItem]
    ) -> Iterator[paper.WorstRegion]:
        against = [
            one
            for one in items
            if one.log10_lr is not None and one.log10_lr < 0.0 and one.examination_id
        ]
        against.sort(key=lambda one: (one.log10_lr or 0.0, one.position))
        for one in against[:_WORST]:
            for drawn in self._drawn(caller, [one.examination_id or ""]):
                yield paper.WorstRegion(
                    one.name,
                    FindingKind(one.finding),
                    one.log10_lr,
                    drawn.pair_png,
                    self._reasons(caller, one),
                )

    def _drawn(self, caller: Caller, examinations: list[str]) -> list[EvidencePictures]:
        drawn = []
        for examination_id in examinations:
            try:
                drawn.append(self.pictures(caller, examination_id))
            except NotFoundError:
                continue  # nothing was compared, or the grant to the reference ended
        return drawn

    def _record(self, caller: Caller, item: LotItem) -> dict[str, Any]:
        examination = self.store.examination(caller, item.examination_id or "")
        record: dict[str, Any] = json.loads(examination.record_json)
        return record

    def _reasons(self, caller: Caller, item: LotItem) -> tuple[str, ...]:
        finding = read_finding(self._record(caller, item)["finding"])
        return tuple(reason.sentence for reason in finding.reasons)

    def _made_by(self, caller: Caller, items: Sequence[LotItem]) -> paper.MadeBy:
        examined = next((one for one in items if one.examination_id), None)
        made = {} if examined is None else self._record(caller, examined)["made_by"]
        models = {
            name: str(made.get(key, ""))
            for name, key in (
                ("embedder", "model"),
                ("comparator", "comparator"),
                ("localiser", "localiser"),
            )
        }
        models["validation"] = self.validation.digest
        libraries = made.get("libraries", {})
        return paper.MadeBy(
            code_version=str(made.get("code", "")),
            models=tuple(sorted(models.items())),
            policy_sha256=str(made.get("policy", "")),
            index_sha256=str(made.get("index", "")),
            libraries=tuple(sorted((str(k), str(v)) for k, v in libraries.items())),
        )


def publish(
    reporter: Reporter, blobs: Blobs, caller: Caller, lot_id: str, *, made_at: datetime
) -> dict[str, Any]:
    """Conclude on a lot and keep its report in every form.

    Returns:
        ``files``, the digest of each by its name, and ``reference_sets``, the ids of
        those whose pictures the PDF shows: without leave for all of them it is not to
        be handed out.

    Raises:
        NotFoundError: no such lot of the caller's.
        ConfigurationError: without the library that sets the PDF.
        StorageError: the image store refused.
    """
    shown: set[str] = set()

    def noted(caller: Caller, examination_id: str) -> EvidencePictures:
        drawn = reporter.pictures(caller, examination_id)
        shown.add(examination_id)
        return drawn

    store = reporter.store
    concluder = Concluder(store, reporter.validation)
    conclusion, items = concluder.conclude(caller, lot_id)
    made = replace(reporter, pictures=noted).report(
        caller, conclusion, items, made_at=made_at
    )
    spoken = canonical_json(conclusion_document(conclusion, items)).encode()
    files = {
        "report.pdf": blobs.put(pdf_of(made)),
        "report.json": blobs.put(paper.report_json(made)),
        "conclusion.json": blobs.put(spoken),
    }
    with TemporaryDirectory() as folder:
        for ending in (".csv", ".jsonl", ".parquet"):
            out = Path(folder) / f"results{ending}"
            try:
                write_results(store, caller, lot_id, out)
            except ConfigurationError:
                continue  # Parquet without its library: the other two say the same
            files[f"results{ending}"] = blobs.put(out.read_bytes())
    sets = {store.examination(caller, one).reference_set_id for one in shown}
    return {"files": files, "reference_sets": sorted(filter(None, sets))}


def _pixels(png: bytes) -> Pixels:
    return decode(png).pixels


def _sampling(plan: Any) -> paper.SamplingPlan | None:
    if plan is None:
        return None
    hidden = {"rule", "population", "sample", "sentence", "seed", "positions"}
    return paper.SamplingPlan(
        rule=str(plan["rule"]),
        population=int(plan["population"]),
        sample_size=int(plan["sample"]),
        seed=str(plan["seed"]),
        sentence=str(plan["sentence"]),
        parameters=tuple(
            (name, str(value))
            for name, value in sorted(plan.items())
            if name not in hidden and value is not None
        ),
    )


def _share(conclusion: Conclusion) -> paper.Share | None:
    share = conclusion.share
    if share.estimate is None:
        return None
    return paper.Share(
        share.estimate,
        share.low,
        share.high,
        share.confidence,
        f"{share.method} {share.advice}",
    )


def _summary(one: PrintingFound, items: dict[int, LotItem]) -> str:
    counts = Counter(items[place].finding for place in one.items)
    told = ", ".join(
        f"{count} {finding.replace('_', ' ')}"
        for finding, count in counts.most_common()
    )
    return f"All differ from the reference in the same way. {told}."


def _rates(validation: Validation) -> Iterator[paper.ErrorRate]:
    for name, group, groups in (
        ("genuine packages called inconsistent", "products", validation.genuine),
        ("counterfeits called inconsistent", "kinds", validation.counterfeit),
    ):
        cases = sum(one.answered for one in groups)
        if cases:
            hits = sum(one.inconsistent for one in groups)
            low, high = _wilson(hits / cases, _effective(groups))
            yield paper.ErrorRate(
                name=name,
                rate=hits / cases,
                low=low,
                high=high,
                confidence=_CONFIDENCE,
                cases=cases,
                data=f"simulated photographs of {len(groups)} {group}, which differ; "
                f"validation {validation.digest[:12]}",
            )


def _effective(groups: Sequence[Trials]) -> float:
    """Return how many independent cases would tell as much.

    Photos of one product, or of one kind of counterfeit, are called alike (Kish, Survey
    Sampling, 1965).
    """
    cases = sum(one.answered for one in groups)
    share = sum(one.inconsistent for one in groups) / cases
    astray = sum((one.inconsistent - share * one.answered) ** 2 for one in groups)
    spread = astray * len(groups) / max(1, len(groups) - 1)
    if len(groups) < _FEW_GROUPS or not spread:
        return cases
    return min(cases, share * (1 - share) * cases**2 / spread)


_FEW_GROUPS = 5
"""Of which it cannot be told how much they differ."""


def _wilson(share: float, cases: float) -> tuple[float, float]:
    """Return the interval of a share (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    square = _Z**2 / cases
    middle = share + square / 2
    spread = _Z * math.sqrt((share * (1 - share) + square / 4) / cases)
    return (
        max(0.0, (middle - spread) / (1 + square)),
        min(1.0, (middle + spread) / (1 + square)),
    )


def _sentences(conclusion: Conclusion) -> Iterator[str]:
    yield (
        "Error rates were measured on simulated photographs; on real ones more photos "
        "cannot be answered."
    )
    if conclusion.units < conclusion.photos - conclusion.unfinished:
        yield (
            f"The photos show {conclusion.units} units; of several photos of one, the "
            "gravest finding stands. The bars count photos, the share counts units."
        )
    plan = conclusion.lot.plan
    if plan is not None and plan["sample"] != conclusion.units:
        yield (
            f"The sampling plan asks for {plan['sample']} units; "
            f"{conclusion.units} were examined, so that the plan does not hold."
        )
    if conclusion.unfinished:
        yield f"{conclusion.unfinished} photos had not been examined yet."
    share = conclusion.share
    yield (
        f"If every photo without an answer were genuine, at least "
        f"{share.low_at_worst:.1%} are counterfeit; if every one were counterfeit, at "
        f"most {share.high_at_worst:.1%}."
    )
    for serial, lot_id, image in conclusion.elsewhere[:10]:
        yield f"Serial {serial} was seen in lot {lot_id} too, on {image}."


def _digest(item: LotItem, known: dict[str, FindingKind]) -> paper.ItemDigest:
    return paper.ItemDigest(
        item.name,
        item.photo_digest or "",
        item.record_digest or "",
        known.get(item.finding),
        item.log10_lr,
    )
