"""Studies on real Dask workers: the same bits however they are cut, and nothing that is finished runs twice."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import astuple

import dask
import numpy as np
import pytest
import torch
from distributed import Client
from running import JOBS, POINTS, STUDY, jobs_done, results
from scipy.stats import binom
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.engines.converter import Converter
from spicekit.engines.exact import ladder
from spicekit.engines.fast.model import read_model
from spicekit.errors import BadInput, SpiceFailed
from spicekit.evaluation.convert import lay_network, tile_network
from spicekit.evaluation.reads import lay_out, patterns_read, tallies
from spicekit.files import MARKER
from spicekit.networks.inference import predict_logits
from spicekit.provenance import code_hash
from spicekit.results import accuracy_interval
from spicekit.study import jobs as jobs_module
from spicekit.study.cluster import Cluster, Scheduler
from spicekit.study.jobs import counted_reads, run_job
from spicekit.study.plan import Study, cut, read_study
from spicekit.study.results import EARLIER_FILE, LOG_FILE, POINTS_FOLDER, RESULTS_FILE, Log, load, read_rows
from spicekit.study.sweep import _plan, _tables, sweep


def test_rows_carry_conditions_results_and_origin(expected):
    assert len(expected) == POINTS
    row = expected[0]
    assert (row["tile.rows_active"], row["wires.r_bl"], row["converter.bits"]) == (16, 3.2, 3)
    assert (row["run.mitigation"], row["images"], row["fault"]) == ("none", 8, "")
    assert 0 <= row["accuracy"] <= 1
    assert 0 < row["nf"] < 1
    assert row["energy"] > 0
    assert row["table"].startswith("8t-sram-tt-700mV-298K-")
    assert len({row["key"] for row in expected}) == POINTS


def test_points_are_there_as_they_finish(finished, tmp_path):
    """In a folder of their own, which is read as the study is where that has not ended."""
    rows = read_rows(finished / POINTS_FOLDER)
    ended = read_rows(finished / RESULTS_FILE)
    assert sorted(rows, key=lambda row: row["key"]) == sorted(ended, key=lambda row: row["key"])
    shutil.copytree(finished / POINTS_FOLDER, tmp_path / POINTS_FOLDER)
    assert load(tmp_path).rows() == rows


def test_fewer_on_cells_carry_less_energy(expected):
    by_mitigation = {row["run.mitigation"]: row for row in expected}
    assert by_mitigation["both"]["energy"] < by_mitigation["none"]["energy"]
    assert by_mitigation["both"]["partial_sum"] < by_mitigation["none"]["partial_sum"]


def test_how_a_point_is_cut_into_jobs_changes_nothing(study, address, expected, tmp_path):
    """What reads carry is counted of the point's first images, however few of them a job has."""
    whole = study.replace(points=study.points[:2], images_per_job=8)
    sweep(whole, tmp_path, scheduler=Scheduler(address))
    assert [{**row, "key": None} for row in results(tmp_path)] == [{**row, "key": None} for row in expected[:2]]


def test_a_point_whose_accuracy_is_known_well_enough_gets_no_more_images(study, address, expected, tmp_path):
    """Whatever else was run before: then a narrower interval goes on, and the wider one asks nobody."""
    told = []

    def row_of(within: float, scheduler: str):
        some = study.replace(points=study.points[:1], images_per_job=2, accuracy_within=within)
        summary = sweep(some, tmp_path, scheduler=Scheduler(scheduler), report=told.append)
        (row,) = results(tmp_path)
        low, high = accuracy_interval(row["accuracy"], row["images"])
        return row, (summary.made, summary.kept), (high - low) / 2

    (few, jobs, half), whole = row_of(0.35, address), expected[0]
    assert jobs == (few["images"] // 2, 0)
    assert half <= 0.35
    assert few["images"] < whole["images"]
    assert (told[-1].made, told[-1].total) == (jobs[0], jobs[0])
    assert few["fault"] == ""
    more, jobs, half = row_of(0.01, address)
    assert jobs == (whole["images"] // 2 - few["images"] // 2, few["images"] // 2)
    assert half > 0.01
    assert {**more, "key": None} == {**whole, "key": None}
    again, jobs, _ = row_of(0.35, "tcp://127.0.0.1:1")  # nobody is asked
    assert jobs[0] == 0
    assert again == few


@pytest.mark.parametrize("images", [64, 192, 256])
def test_intervals_hold_the_accuracy_as_often_where_they_say_when_to_stop(study, images):
    """Of 500 images, a job at a time; exact, by the binomial distribution."""
    within = 0.044
    parts = cut(500, study.replace(images_per_job=images, accuracy_within=within))
    sizes = [stop - start for start, stop in parts]
    for true in (0.1, 0.2, 0.3, 0.5, 0.75, 0.85, 0.9, 0.92):
        going, held, seen = np.ones(1), 0.0, 0
        for size in sizes:
            seen += size
            going = np.convolve(going, binom.pmf(np.arange(size + 1), size, true))
            low, high = np.array([accuracy_interval(right / seen, seen) for right in range(seen + 1)]).T
            ends = ((high - low) / 2 <= within) | (seen == 500)
            held += going[ends & (low <= true) & (true <= high)].sum()
            going = np.where(ends, 0, going)
        assert 0.935 < held < 0.975


@pytest.mark.parametrize(
    ("images", "size", "within", "stops"),
    [
        (500, 192, None, [192, 384, 500]),
        (500, 192, 0.04, [192, 256, 320, 400, 500]),  # a batch, then a quarter
        (200, 192, 0.04, [200]),  # no job for eight images
        (100, 192, 0.04, [100]),
        (8, 2, 0.04, [2, 4, 6, 8]),
    ],
)
def test_jobs_of_a_point(study, images, size, within, stops):
    parts = list(cut(images, study.replace(images_per_job=size, accuracy_within=within)))
    assert parts == list(zip([0, *stops[:-1]], stops, strict=True))


def test_a_points_next_job_goes_before_others_to_the_worker_that_had_the_last(study, address, tmp_path, monkeypatch):
    """With all that it needs: the worker still has the point's network on tiles."""
    genuine, near = Client.submit, []

    def submit(self, function, *arguments, **options):
        near.extend(options.get("workers", ()) if function is run_job else ())
        return genuine(self, function, *arguments, **options)

    monkeypatch.setattr(Client, "submit", submit)
    some = study.replace(images_per_job=4, accuracy_within=0.001)
    starts = {job.key: job.start for jobs in _plan(some, _tables(some, None, lambda progress: None)) for job in jobs}
    sweep(some, tmp_path, scheduler=Scheduler(address))
    with Client(address) as client:
        assert set(near) <= set(client.scheduler_info()["workers"])
    assert len(near) == POINTS
    finished = [starts[json.loads(line)[1]] for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert sorted(finished) == [0] * POINTS + [4] * POINTS
    assert 4 in finished[: POINTS - 1]


def test_a_study_goes_on_where_it_was_left(study, address, finished, expected, tmp_path):
    lines = (finished / LOG_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / LOG_FILE).write_bytes(b"".join(lines[:5]) + lines[5][:40])
    (tmp_path / MARKER).touch()
    summary = sweep(study, tmp_path, scheduler=Scheduler(address))
    assert (summary.made, summary.kept) == (JOBS - 5, 5)
    assert results(tmp_path) == expected
    again = sweep(study, tmp_path, scheduler=Scheduler("tcp://127.0.0.1:1"))  # nobody is asked
    assert (again.made, again.kept) == (0, JOBS)


def test_a_changed_digit_in_the_log_costs_its_job_and_no_result(network, address, finished, expected, tmp_path):
    """Naively read, the line gives the other number, which would be the point's."""
    study, out = tmp_path / "study.toml", tmp_path / "out"
    study.write_text(STUDY.format(network=network))
    shutil.copytree(finished, out)
    lines = (out / LOG_FILE).read_bytes().splitlines(keepends=True)
    right = json.loads(lines[3])[2]["right"]
    lines[3] = lines[3].replace(f'"right": {right}'.encode(), f'"right": {right + 1}'.encode())
    assert json.loads(lines[3])[2]["right"] == right + 1
    (out / LOG_FILE).write_bytes(b"".join(lines))
    done = CliRunner().invoke(app, ["sweep", str(study), "--out", str(out), "--scheduler", address])
    assert f"jobs: 1 made, {JOBS - 1} kept" in " ".join(done.stdout.split()), done.output
    assert results(out) == expected


def test_a_point_that_fails_is_a_row_with_its_reason_and_is_tried_again(study, address, tmp_path):
    bad = study.points[0].design
    bad = bad.replace(converter=bad.converter.replace(reference="per_level"), tile=bad.tile.replace(rows_active=1))
    points = (study.points[0], study.points[0].replace(design=bad))
    both = study.replace(points=points)
    summary = sweep(both, tmp_path, scheduler=Scheduler(address))
    assert summary.failed == 2
    good, failed = read_rows(tmp_path / RESULTS_FILE)
    assert good["fault"] == ""
    assert failed["fault"].startswith("BadInput: ")
    assert failed["accuracy"] is None
    assert summary.rows() == [good, failed]
    assert len(jobs_done(tmp_path)) == 2  # those that failed are not among what is kept


def test_a_table_that_cannot_be_made_stops_a_study_with_the_reason_of_ngspice(study, tmp_path):
    bad = tmp_path / "bad.sp"
    bad.write_text(".model nbad nmos (level=14 version=4.8 toxe=0)\n")
    bad.with_suffix(".toml").write_text("[geometry]\nwidth = 70.5e-9\nlength = 21e-9\n")
    design = study.points[0].design
    tile = design.tile.replace(device=design.tile.device.replace(nmos=str(bad)))
    points = (study.points[0].replace(design=design.replace(tile=tile)),)
    with pytest.raises(SpiceFailed, match=r"table 8t-sram-tt-.*: weight 0: ngspice"):
        sweep(study.replace(points=points), tmp_path / "out", store=tmp_path / "store")


def test_two_studies_do_not_share_a_folder(study, tmp_path):
    hold = f"""
import sys
from pathlib import Path
from spicekit.study.results import Log
with Log(Path({str(tmp_path)!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    holder = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(BadInput, match="another study is writing here"):
            sweep(study, tmp_path)
        holder.stdin.close()
    with Log(tmp_path):
        for _ in range(2):  # closing what was refused gives nothing back
            with pytest.raises(BadInput, match="another study is writing here"):
                Log(tmp_path)
    with Log(tmp_path):
        pass


def test_a_log_that_is_a_link_is_refused(tmp_path):
    """What a kill left of its last line would be cut off, of any file."""
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious, without a line's end")
    out.mkdir()
    (out / MARKER).touch()
    (out / LOG_FILE).symlink_to(victim)
    with pytest.raises(BadInput, match="cannot be written"):
        Log(out)
    assert victim.read_text() == "precious, without a line's end"


def own_images(network, path, **arrays) -> Study:
    """A study of images of one's own, in an .npz file."""
    np.savez(path / "own.npz", **arrays)
    base = STUDY.format(network=network).split("[[grid]]")[0].replace("images = 8", f'data = "{path}/own.npz"')
    (path / "study.toml").write_text(base)
    return read_study(path / "study.toml")


def test_images_that_converters_are_fitted_on_are_not_classified(network, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
    labels = np.arange(20) % 10
    study = own_images(network, tmp_path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    design = study.points[0].design
    fitted = study.points[0].replace(design=design.replace(converter=Converter(reference="linear")))
    with pytest.raises(BadInput, match="16 of the 20 images to be classified are among the 16 of the calibration"):
        sweep(study.replace(points=(fitted,)), tmp_path / "out")


def test_few_images_of_ones_own_make_a_study(network, tmp_path, address):
    """Ten of the forty are for calibration, fewer than are looked at where there are more."""
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    study = own_images(network, tmp_path, images=images, labels=np.arange(40) % 10)
    (row,) = sweep(study, tmp_path / "out", scheduler=Scheduler(address)).points
    assert (row["fault"], row["images"]) == ("", 30)


def test_results_of_an_earlier_study_do_not_pass_for_those_of_one_that_did_not_finish(study, finished, tmp_path):
    out, point = tmp_path / "out", study.points[0]
    shutil.copytree(finished, out)
    other = study.replace(points=(point.replace(run=point.run.replace(images=4)),))
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(BadInput, match="does not answer"),
    ):
        sweep(other, out, scheduler=Scheduler("tcp://127.0.0.1:1"))
    assert not (out / RESULTS_FILE).exists()
    assert read_rows(out / EARLIER_FILE) == read_rows(finished / RESULTS_FILE)


def test_a_job_is_another_where_the_lines_have_another_capacitance(network, tmp_path, monkeypatch):
    """As after a change of a card's capacitances, which neither the design nor the I-V table shows."""
    discharge = "discharge = {load = 1e-13, time = 5e-11}\n"
    base = STUDY.format(network=network).split("[[grid]]")[0].replace("[base]\n", "[base]\n" + discharge)
    (tmp_path / "study.toml").write_text(base)
    study, keys, reads = read_study(tmp_path / "study.toml"), set(), set()
    for capacitance in (1e-13, 1e-13, 2e-13):
        monkeypatch.setattr(ladder, "line_capacitance", lambda spec, value=capacitance: value)
        tables = _tables(study, None, lambda progress: None)
        jobs = [job for jobs in _plan(study, tables) for job in jobs]
        keys |= {job.key for job in jobs}
        reads |= {job.reads_key(jobs[0].images) for job in jobs}
    assert len(keys) == 2 * 2  # of two jobs
    assert len(reads) == 2  # which count the same reads


@pytest.mark.long
def test_patterns_are_counted_once_for_points_that_differ_in_wires_or_cells(network, tmp_path, monkeypatch):
    """Not where wires decide the flips. What reads carry is what it is when counted for a point alone."""
    base = STUDY.format(network=network).split("[[grid]]")[0]
    grids = (
        "[[grid]]\nwires = [{r_bl = 3.2, r_sl = 3.2}, {r_bl = 10.0, r_sl = 3.2}]\n"
        '"run.mitigation" = ["none", "both"]\n"mapping.flip_rule" = ["count", "position"]\n'
        '[[grid]]\n"tile.cell" = ["1t1r"]\n'
    )
    (tmp_path / "study.toml").write_text(base + grids)
    study, made = read_study(tmp_path / "study.toml"), []

    def counted(network, images, layers):
        made.append(layers)
        return patterns_read(network, images, layers)

    monkeypatch.setattr(jobs_module, "patterns_read", counted)
    jobs_module._patterns.cache_clear()
    plan = _plan(study, _tables(study, None, lambda progress: None))
    for first, *_ in sorted(
        plan, key=lambda jobs: (jobs[0].point.run.mitigation, jobs[0].point.design.mapping.flip_rule)
    ):
        point, design = first.point, first.point.design
        found = counted_reads(point, first.weights, first.table, first.counted, code=code_hash())
        own = jobs_module._network(first.weights)
        layers = lay_out(own, design, mitigation=point.run.mitigation)
        alone = tallies(own, first.counted, layers, read_model(design.tile, first.table))
        for name, (tally,) in alone.items():
            assert all(
                (ours == theirs).all() for ours, theirs in zip(*map(astuple, (found[name][0], tally)), strict=True)
            )
    # none by count, which the other cell shares; none by place, twice; both, likewise
    assert len(made) == 1 + 2 + 1 + 2


def test_a_die_is_laid_out_once_for_points_that_differ_in_converters(network, tmp_path, monkeypatch):
    """Each computes what it does when laid out for itself, in whatever order they come."""
    base = STUDY.format(network=network).split("[[grid]]")[0]
    grid = (
        '[[grid]]\n"converter.bits" = [3, 6]\n"mapping.recalibrate" = [4]\n"run.mitigation" = ["none", "both"]\n'
        "variation = [{mismatch = 1.0}, {mismatch = 1.0, seed = 1}]\n"
    )
    (tmp_path / "study.toml").write_text(base + grid)
    study, made = read_study(tmp_path / "study.toml"), []

    def laid(network, design, table, *, mitigation):
        made.append(mitigation)
        return lay_network(network, design, table, mitigation=mitigation)

    plan = _plan(study, _tables(study, None, lambda progress: None))
    for cached in (jobs_module._laid, jobs_module._tiled):
        cached.cache_clear()
    jobs = sorted(
        (jobs[0] for jobs in plan), key=lambda job: (job.point.design.variation.seed, job.point.run.mitigation)
    )
    alone = [
        tile_network(
            jobs_module._network(job.weights),
            job.point.design,
            job.table,
            mitigation=job.point.run.mitigation,
            calibration=job.calibration,
        )
        for job in jobs
    ]
    monkeypatch.setattr(jobs_module, "lay_network", laid)
    logits = []
    for job, own in zip(jobs, alone, strict=True):
        shared = jobs_module._tiled(job.point, job.weights, job.table, job.calibration, None)
        logits.append(predict_logits(shared.network, job.images))
        assert torch.equal(logits[-1], predict_logits(own.network, job.images))
    assert len({tuple(each.flatten().tolist()) for each in logits}) == len(jobs) == 8
    assert made == ["both", "none"] * 2


def test_a_scheduler_that_does_not_answer_is_named(study, tmp_path):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(BadInput, match=r"--scheduler tcp://127\.0\.0\.1:1: does not answer"),
    ):
        sweep(study, tmp_path, scheduler=Scheduler("tcp://127.0.0.1:1"))
    assert set(os.listdir(tmp_path)) == {LOG_FILE, MARKER, POINTS_FOLDER}
    assert not os.listdir(tmp_path / POINTS_FOLDER)


def test_workers_of_a_local_cluster_evaluate_dies_with_mismatch(network, tmp_path):
    """Workers need no ngspice: what it finds about the cell comes with the job."""
    path = tmp_path / "study.toml"
    die = "variation = {mismatch = 1.0, stuck_at_0 = 0.01}\n"
    path.write_text(STUDY.format(network=network).split("[[grid]]")[0].replace("[base]", "[base]\n" + die))
    summary = sweep(read_study(path), tmp_path / "out", cluster=Cluster(workers=1))
    assert [row["fault"] for row in summary.points] == [""]


def test_other_code_runs_everything_anew_and_a_worker_that_lacks_it_refuses(
    study, address, finished, tmp_path, monkeypatch
):
    """The worker has the code that is there, the study another: after an update of one of them."""
    out = tmp_path / "copy"
    shutil.copytree(finished, out)
    monkeypatch.setattr("spicekit.study.sweep.code_hash", lambda: "0123456789ab")
    summary = sweep(study, out, scheduler=Scheduler(address))
    assert (summary.made, summary.kept, summary.failed) == (0, 0, JOBS)
    assert "this worker's spicekit is not the study's" in results(out)[0]["fault"]
    monkeypatch.undo()
    assert sweep(study, out, scheduler=Scheduler(address)).kept == JOBS
    with pytest.raises(BadInput, match="this worker's spicekit is not the study's"):
        counted_reads(study.points[0], None, None, None, code="0123456789ab")


@pytest.mark.long
def test_a_plain_script_runs_a_study_and_is_not_run_by_its_workers(network, tmp_path):
    """Without `if __name__ == "__main__"`: each worker would start the study again."""
    (tmp_path / "study.toml").write_text(STUDY.format(network=network).split("[[grid]]")[0])
    script = tmp_path / "script.py"
    script.write_text("print('begins')\nimport spicekit as sk\nprint(sk.sweep('study.toml', 'out').failed)\n")
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("begins\n0\n", 0), done.stderr


def test_a_row_with_one_layer_on_real_tiles_says_what_that_layer_reads(network, address, tmp_path):
    path = tmp_path / "study.toml"
    base = STUDY.format(network=network).split("[[grid]]")[0]
    path.write_text(base.replace("[base]", '[base]\nablation = {layer = "conv4"}\n'))
    (row,) = sweep(read_study(path), tmp_path / "out", scheduler=Scheduler(address)).points
    layers = json.loads(row["layers"])
    assert row["nf"] == layers["conv4"]["nf"] != layers["conv2"]["nf"]
    assert row["partial_sum"] == layers["conv4"]["partial_sum"]
