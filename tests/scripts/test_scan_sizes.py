"""The test commands of a size of SCAN are all that are not in its training."""

import scan_sizes


def test_the_rest_of_all_commands_is_the_test(tmp_path, monkeypatch):
    folder = tmp_path / "simple_split"
    (folder / "size_variations").mkdir(parents=True)
    every = [f"IN: walk {n} OUT: I_WALK" for n in range(20)]
    repeated = [*every[:15], every[3]]  # training has some commands twice
    (folder / "tasks_train_simple.txt").write_text("\n".join(repeated))
    (folder / "tasks_test_simple.txt").write_text("\n".join(every[15:]) + "\n")
    for place, size in enumerate(("p1", "p2", "p4")):
        some = [every[place], every[17], ""]
        path = folder / "size_variations" / f"tasks_train_simple_{size}.txt"
        path.write_text("\n".join(some))
    monkeypatch.setattr("sys.argv", ["scan_sizes.py", str(tmp_path)])
    scan_sizes.main()
    for place, size in enumerate(("p1", "p2", "p4")):
        path = folder / "size_variations" / f"tasks_test_simple_{size}.txt"
        left = [line for n, line in enumerate(every) if n not in (place, 17)]
        assert path.read_text().splitlines() == left
