"""Rows as an Arrow table, watts as another: pyarrow speaks to the server, and JSON says what is right. Usage: arrow.py URL"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

import pyarrow as pa

KIND = "application/vnd.apache.arrow.stream"
MACHINE = {"processor": "intel_xeon_gold_6248", "cores": 40}


def ask(url: str, body: bytes, **headers: str) -> tuple[str, bytes]:
    request = urllib.request.Request(
        url, body, {name.replace("_", "-"): value for name, value in headers.items()}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["Content-Type"], answer.read()


def stream(table: pa.Table, **options: object) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=1000)
    return sink.getvalue().to_pybytes()


def main() -> None:
    base = sys.argv[1] + "/estimate"
    query = {
        "source": "acpi",
        "output_type": "AbsPower",
        "machine_spec": json.dumps(MACHINE),
    }
    url = base + "?" + urllib.parse.urlencode(query)
    columns = {
        "bpf_page_cache_hit": pa.array(range(2500), pa.uint32()),
        "bpf_cpu_time_ms": pa.array([16.0 * n for n in range(2500)], pa.float64()),
    }
    table = pa.table(columns)
    # Sliced, so that it does not begin where its buffers do.
    rows = stream(table.slice(3))
    kind, answer = ask(url, rows, Content_Type=KIND)
    assert kind == KIND, kind
    watts = pa.ipc.open_stream(answer).read_all()

    values = [list(row.values()) for row in table.slice(3).to_pylist()]
    question = dict(query, machine_spec=MACHINE, features=list(columns), rows=values)
    kind, answer = ask(
        base, json.dumps(question).encode(), Content_Type="application/json"
    )
    assert kind == "application/json", kind
    right = json.loads(answer)
    [(part, figures)] = right["components"].items()
    name = f"{part}_power"
    assert watts.column_names == [name, f"{name}_low", f"{name}_high", "in_range"]
    assert watts[name].to_pylist() == figures["watts"]
    assert watts[f"{name}_low"].to_pylist() == figures["low"]
    assert watts[f"{name}_high"].to_pylist() == figures["high"]
    assert watts["in_range"].to_pylist() == right["in_range"]
    about = watts.schema.field(name).metadata
    assert about[b"unit"] == b"W", about
    assert float(about[b"level"]) == figures["level"], about
    assert watts.schema.metadata[b"model"].startswith(b"embedded/acpi/AbsPower/")

    # Each way into the other, too.
    kind, answer = ask(url, rows, Content_Type=KIND, Accept="application/json")
    assert (kind, json.loads(answer)) == ("application/json", right)
    kind, answer = ask(
        base,
        json.dumps(question).encode(),
        Content_Type="application/json",
        Accept=f"{KIND}, */*",
    )
    assert pa.ipc.open_stream(answer).read_all().equals(watts)

    holes = pa.table({"bpf_cpu_time_ms": pa.array([1.0, None])})
    words = pa.table({"bpf_cpu_time_ms": ["1"]})
    compressed = pa.ipc.IpcWriteOptions(compression="zstd")
    for body, says in [
        (stream(holes), "expected a value in each row"),
        (stream(words), "expected numbers"),
        (stream(table, options=compressed), "compressed"),
        (rows[:-200], "breaks off"),
        (b"", "no schema"),
    ]:
        try:
            ask(url, body, Content_Type=KIND)
            raise AssertionError(says)
        except urllib.error.HTTPError as error:
            reason = json.load(error)["error"]
            assert error.code == 400 and says in reason, (error.code, reason)
    print("as JSON says")


if __name__ == "__main__":
    main()
