"""Energy meters: with recorded counters, and with those of this machine."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from coremlbench.timing.energy import AppleMeter, RaplMeter, apple_joules, energy_meter, rapl_domains


def counter(folder: Path, path: str, name: str, microjoules: int, span: int = 262143328850) -> Path:
    domain = folder / path
    domain.mkdir(parents=True)
    (domain / "name").write_text(f"{name}\n")
    (domain / "energy_uj").write_text(f"{microjoules}\n")
    (domain / "max_energy_range_uj").write_text(f"{span}\n")
    return domain


def test_packages_and_memory_count_and_their_parts_do_not(tmp_path: Path) -> None:
    counter(tmp_path, "intel-rapl:0", "package-0", 1)
    counter(tmp_path, "intel-rapl:0:0", "core", 1)
    counter(tmp_path, "intel-rapl:0:1", "dram", 1)
    counter(tmp_path, "intel-rapl:1", "psys", 1)
    (tmp_path / "intel-rapl").mkdir()
    assert [domain.name for domain in rapl_domains(tmp_path)] == ["intel-rapl:0", "intel-rapl:0:1"]
    assert rapl_domains(tmp_path / "absent") == ()


def test_microjoules_are_summed_up_from_the_start_even_over_a_counter_that_wraps(tmp_path: Path) -> None:
    package = counter(tmp_path, "intel-rapl:0", "package-0", 900, span=1000)
    memory = counter(tmp_path, "intel-rapl:0:0", "dram", 5_000_000)
    meter = RaplMeter((package, memory))
    meter.start()
    (package / "energy_uj").write_text("100\n")
    (memory / "energy_uj").write_text("7500000\n")
    assert meter.joules() == pytest.approx(2.5002)


def test_counters_that_stand_still_or_vanish_tell_nothing(tmp_path: Path) -> None:
    package = counter(tmp_path, "intel-rapl:0", "package-0", 900)
    meter = RaplMeter((package,))
    meter.start()
    assert meter.joules() is None
    (package / "energy_uj").unlink()
    assert meter.joules() is None
    assert rapl_domains(tmp_path) == ()


def test_a_counter_that_could_not_be_read_at_the_start_tells_nothing(tmp_path: Path) -> None:
    package = counter(tmp_path, "intel-rapl:0", "package-0", 900)
    memory = counter(tmp_path, "intel-rapl:0:0", "dram", 5_000_000)
    meter = RaplMeter((package, memory))
    (package / "energy_uj").rename(package / "away")
    meter.start()
    (package / "away").rename(package / "energy_uj")
    (memory / "energy_uj").write_text("7500000\n")
    assert meter.joules() is None
    meter.start()
    (memory / "energy_uj").write_text("8500000\n")
    assert meter.joules() == 1.0


def apple_metrics(**millijoules: int | None) -> SimpleNamespace:
    fields = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "ane_mj", "dram_mj")
    return SimpleNamespace(**{field: millijoules.get(field) for field in fields}, efficiency_cores_mj=[9000])


def test_apples_millijoules_are_summed_up_over_the_parts_that_count() -> None:
    assert apple_joules(apple_metrics(cpu_total_mj=1200, gpu_mj=0, ane_mj=300)) == 1.5
    assert apple_joules(apple_metrics()) is None
    assert apple_joules(apple_metrics(cpu_total_mj=0, gpu_mj=0)) is None
    assert apple_joules(SimpleNamespace(cpu_total_mj=7)) == 0.007  # a chip or a release with fewer fields


def test_apples_windows_begin_at_the_start_and_end_with_the_joules() -> None:
    class Monitor:
        """The two calls of zeus-apple-silicon's AppleEnergyMonitor that matter here."""

        def __init__(self) -> None:
            self.windows: list[str] = []

        def begin_window(self, label: str, restart: bool = False) -> None:
            assert restart or label not in self.windows
            self.windows.append(label)

        def end_window(self, label: str) -> SimpleNamespace:
            self.windows.remove(label)
            return apple_metrics(ane_mj=250)

    monitor = Monitor()
    meter = AppleMeter(monitor)
    meter.start()
    assert len(monitor.windows) == 1
    assert meter.joules() == 0.25
    assert not monitor.windows


def test_whatever_this_machine_has_never_says_zero() -> None:
    meter = energy_meter()
    if meter is None:
        assert rapl_domains(Path("/sys/class/powercap")) == ()
        return
    meter.start()
    assert sum(range(3_000_000)) > 0  # some work
    joules = meter.joules()
    assert joules is None or joules > 0
