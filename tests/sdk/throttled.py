"""A server with the documented limits: past 15 calls in a second the client is told to wait, and may go on later."""
import sys
import time

from alibabacloud_live20161101 import models
from alibabacloud_live20161101.client import Client
from alibabacloud_tea_openapi.exceptions import ThrottlingException
from alibabacloud_tea_openapi.models import Config
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdklive.request.v20161101.DescribeCastersRequest import DescribeCastersRequest

from show import same

host, key, secret = sys.argv[1:4]
client = AcsClient(key, secret, "cn-shanghai")
codes = []
while len(codes) < 1000 and (codes[-1:] != [""] or "Throttling.User" not in codes):
    request = DescribeCastersRequest()
    request.set_endpoint(host)
    try:
        client.do_action_with_exception(request)
        codes.append("")
    except ServerException as refused:
        codes.append(refused.get_error_code())
same(set(codes), {"", "Throttling.User"}, "codes")
same(codes.index("Throttling.User") >= 15, True, "a second's worth at once")

# The typed SDK is told how long to wait, ms, and may go on after that.
typed = Client(Config(access_key_id=key, access_key_secret=secret, endpoint=host, protocol="HTTP"))
waits = []
for _ in range(1000):
    try:
        typed.describe_casters(models.DescribeCastersRequest())
        if waits:
            break
    except ThrottlingException as told:
        same((told.code, told.data["statusCode"]), ("Throttling.User", 400), "the refusal")
        waits.append(told.retry_after)
        time.sleep(told.retry_after / 1000)
same(len(waits), 1, "waits until a call is let through")
# At 15 calls a second there is one again after 67 ms.
same(1 <= waits[0] <= 67, True, f"{waits[0]} ms")
