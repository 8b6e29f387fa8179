"""The document for schemathesis, which `make soak` alone runs, can be made of the table."""

from emperor.web.endpoints import ENDPOINTS
from tests.fuzz.openapi import document


def test_each_endpoint_and_parameter_is_in_the_document() -> None:
    paths = document()["paths"]
    assert set(paths) == {endpoint.path for endpoint in ENDPOINTS}
    for endpoint in ENDPOINTS:
        described = paths[endpoint.path][endpoint.method.lower()]["parameters"]
        names = [each["name"] for each in described if each["in"] == "query"]
        assert names == [name for name, _ in endpoint.parameters]
