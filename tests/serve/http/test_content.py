"""Files: ranges, signed addresses, on the app by itself."""

import re


def test_players_get_the_part_that_they_ask_for(client, done):
    address = done()["urls"]["video"]
    whole = client.get(address)
    content, size = whole.content, len(whole.content)
    assert whole.headers["accept-ranges"] == "bytes" and whole.headers["x-content-type-options"] == "nosniff"
    for header, start, end in (
        ("bytes=0-9", 0, 10),
        ("bytes=10-", 10, size),
        ("bytes=-7", size - 7, size),
        ("bytes=5-999999999", 5, size),
    ):
        part = client.get(address, headers={"range": header})
        assert part.status_code == 206 and part.content == content[start:end]
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
    for header in ("bytes=0-1,4-5", "lines=1-2", "bytes=-", ""):
        assert client.get(address, headers={"range": header}).status_code == 200
    beyond = client.get(address, headers={"range": f"bytes={size}-"})
    assert beyond.status_code == 416 and beyond.headers["content-range"] == f"bytes */{size}"
    assert client.get(address, headers={"range": "bytes=0-1", "if-range": '"old"'}).status_code == 200
    assert client.get(address, headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    head = client.head(address)
    assert head.status_code == 200 and head.headers["content-length"] == str(size) and not head.content


def test_a_signed_address_opens_one_file_for_a_while(client, done):
    address = done()["urls"]["video"]
    for changed in (
        re.sub("until=[0-9]+", "until=9999999999", address),
        address.replace("clip-1.mp4", "clip-1-last-frame.png"),
        address[:-1] + ("0" if address[-1] != "0" else "1"),
    ):
        assert client.get(changed).status_code == 403
    assert client.get(address.partition("?")[0]).status_code == 400
    assert client.get(
        "/files/../../etc/passwd", params={"until": 9999999999, "signature": "x"}
    ).status_code in (403, 404)
