"""What the SDKs make of refusals: changed signatures, used nonces, skewed clocks, unknown keys, bad calls."""
import sys
import time
import urllib.error
import urllib.request
from xml.etree import ElementTree

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.composer.rpc_signature_composer import get_signed_url
from aliyunsdkcore.client import AcsClient
from aliyunsdklive.request.v20161101 import (
    DeleteCasterRequest, DescribeCasterConfigRequest, DescribeCastersRequest,
)
from alibabacloud_live20161101 import models
from alibabacloud_live20161101.client import Client
from alibabacloud_tea_openapi.models import Config

from show import same

host, key, secret = sys.argv[1:4]


def classic(access, request):
    request.set_endpoint(host)
    try:
        AcsClient(*access, "cn-shanghai").do_action_with_exception(request)
    except ServerException as refused:
        same(bool(refused.get_request_id()), True, "RequestId")
        return refused.get_http_status(), refused.get_error_code()
    return 200, ""


def typed(access, request=None, method="describe_casters", **config):
    client = Client(
        Config(access_key_id=access[0], access_key_secret=access[1], endpoint=host, protocol="HTTP", **config)
    )
    try:
        getattr(client, method)(request or models.DescribeCastersRequest())
    except Exception as refused:
        return refused.data["statusCode"], refused.code
    return 200, ""


listing = DescribeCastersRequest.DescribeCastersRequest
configuration = DescribeCasterConfigRequest.DescribeCasterConfigRequest
unknown = configuration()
unknown.set_CasterId("nobody")
page = listing()
page.set_PageSize("many")
right, wrong, foreign = (key, secret), (key, secret + "x"), (key + "x", secret)
same(classic(right, listing()), (200, ""), "classic")
# The client compares the server's string to sign with its own, behind the colon of the message.
same(classic(wrong, listing()), (400, "InvalidAccessKeySecret"), "classic, wrong secret")
same(classic(foreign, listing()), (404, "InvalidAccessKeyId.NotFound"), "classic, foreign key")
same(classic(right, configuration()), (400, "MissingCasterId"), "classic, nothing given")
same(classic(right, unknown), (404, "InvalidCaster.NotFound"), "classic, unknown caster")
same(classic(right, page), (400, "InvalidPageSize.Malformed"), "classic, no number")
for config in ({}, {"signature_algorithm": "v2"}):
    same(typed(right, **config), (200, ""), "tea")
    same(typed(wrong, **config), (400, "SignatureDoesNotMatch"), "tea, wrong secret")
    same(typed(foreign, **config), (404, "InvalidAccessKeyId.NotFound"), "tea, foreign key")
    ask = models.DescribeCasterConfigRequest(caster_id="nobody")
    refused = typed(right, ask, "describe_caster_config", **config)
    same(refused, (404, "InvalidCaster.NotFound"), "tea, unknown caster")

# The clock of the client, off by 16 minutes.
real = time.gmtime
for off_s in (-960, 960):
    time.gmtime = lambda seconds=None: real((time.time() if seconds is None else seconds) + off_s)
    try:
        same(classic(right, listing()), (400, "InvalidTimeStamp.Expired"), f"classic, {off_s} s off")
    finally:
        time.gmtime = real


def send(url):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST")) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def signed_url(form="JSON"):
    parameters = dict(Action="DescribeCasters", Version="2016-11-01", RegionId="cn-shanghai")
    path, _ = get_signed_url(parameters, key, secret, form, "POST", {})
    return f"http://{host}{path}"


url = signed_url()
status, body = send(url)
same(status, 200, body)
status, body = send(url)
same((status, '"Code":"SignatureNonceUsed"' in body), (400, True), "a replay")
changed = signed_url().replace("cn-shanghai", "cn-shenzhen")
status, body = send(changed)
same((status, '"Code":"SignatureDoesNotMatch"' in body), (400, True), "a changed parameter")

# Without a Format the answer is XML, as the first clients expect it.
status, body = send(signed_url(None))
root = ElementTree.fromstring(body)
same((status, root.tag, root.findtext("Total")), (200, "DescribeCastersResponse", "0"), body)
status, body = send(signed_url(None).replace("cn-shanghai", "cn-shenzhen"))
root = ElementTree.fromstring(body)
same((status, root.tag, root.findtext("Code")), (400, "Error", "SignatureDoesNotMatch"), body)
status, body = send(signed_url("YAML"))
same((status, "InvalidParameter.Format" in body), (400, True), "a format that there is not")
