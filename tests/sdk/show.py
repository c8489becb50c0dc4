"""The worked example of the API, call by call, for whichever client `call` belongs to."""
import json
import uuid


def same(actual, expected, what):
    if actual != expected:
        raise SystemExit(f"{what}: {actual!r}, expected {expected!r}")


def only(items, what):
    same(len(items), 1, f"number of {what}")
    return items[0]


def play(call):
    """`call(action, parameters)` answers the response as a dict, or raises."""
    token = str(uuid.uuid4())
    create = dict(CasterName="演播 demo*~+&=", ClientToken=token, NormType=1, ChargeType="PostPaid")
    caster = call("CreateCaster", create)["CasterId"]
    same(call("CreateCaster", create)["CasterId"], caster, "the caster of the same token")
    with_caster = lambda action, **parameters: call(action, dict(CasterId=caster, **parameters))
    configured = with_caster(
        "SetCasterConfig",
        CasterName="demo",
        DomainName="127.0.0.1",
        TranscodeConfig=json.dumps({"CasterTemplate": "lp_ld"}),
        Delay=0,
        SideOutputUrlList=json.dumps(["rtmp://127.0.0.1:9/app/s1"]),
    )
    same(configured["CasterId"], caster, "CasterId")
    config = with_caster("DescribeCasterConfig")
    same(config["CasterName"], "demo", "CasterName")
    same(config["DomainName"], "127.0.0.1", "DomainName")
    same(config["TranscodeConfig"]["CasterTemplate"], "lp_ld", "CasterTemplate")
    same(json.loads(config["SideOutputUrlList"]), ["rtmp://127.0.0.1:9/app/s1"], "relays")

    source = dict(VodUrl="pattern:640x360@30", RepeatNum=-1, BeginOffset=1000)
    first = with_caster("AddCasterVideoResource", ResourceName="clip", LocationId="RV01", **source)
    second = with_caster(
        "AddCasterVideoResource", ResourceName="b", LocationId="RV02", VodUrl="pattern:320x180@25"
    )
    modified = with_caster(
        "ModifyCasterVideoResource", ResourceId=second["ResourceId"], ResourceName="second"
    )
    same(modified["ResourceId"], second["ResourceId"], "ResourceId")
    listed = with_caster("DescribeCasterVideoResources")
    same(listed["Total"], 2, "Total")
    one, two = listed["VideoResources"]["VideoResource"]
    same([one[name] for name in source], list(source.values()), "the source")
    same((one["ResourceId"], two["ResourceName"]), (first["ResourceId"], "second"), "sources")

    full = dict(
        FillMode="fit", WidthNormalized=1.0, HeightNormalized=1.0, PositionRefer="topLeft",
        PositionNormalized=[0.0, 0.0],
    )
    inset = dict(full, WidthNormalized=0.3, HeightNormalized=0.3, PositionNormalized=[0.68, 0.02])
    layers = dict(
        BlendList=["RV01", "RV02"], VideoLayer=[full, inset], MixList=["RV01"],
        AudioLayer=[dict(VolumeRate=0.8, ValidChannel="all", FixedDelayDuration=40)],
    )
    layout = with_caster("AddCasterLayout", **layers)["LayoutId"]
    spare = with_caster("AddCasterLayout", **layers)["LayoutId"]
    same(with_caster("ModifyCasterLayout", LayoutId=spare, **layers)["LayoutId"], spare, "LayoutId")
    deleted = with_caster("DeleteCasterLayout", LayoutId=spare)
    same((deleted["CasterId"], deleted["LayoutId"]), (caster, spare), "the deleted layout")
    stored = only(with_caster("DescribeCasterLayouts")["Layouts"]["Layout"], "layouts")
    same(stored["BlendList"]["LocationId"], ["RV01", "RV02"], "BlendList")
    same(stored["MixList"]["LocationId"], ["RV01"], "MixList")
    layer = stored["VideoLayers"]["VideoLayer"][1]
    same(layer["PositionNormalizeds"]["Position"], [0.68, 0.02], "Position")
    same((layer["WidthNormalized"], layer["FillMode"]), (0.3, "fit"), "the inset")
    sound = only(stored["AudioLayers"]["AudioLayer"], "audio layers")
    same((sound["VolumeRate"], sound["ValidChannel"]), (0.8, "all"), "the sound")

    content = dict(
        Text="hello 世界!", Color="0x00ff00", FontName="KaiTi", SizeNormalized="0.08",
        BorderWidthNormalized="0.05", BorderColor="0x000000",
    )
    place = dict(
        HeightNormalized="0", WidthNormalized="0", PositionRefer="topLeft",
        PositionNormalized=["0.05", "0.85"],
    )
    title = with_caster(
        "AddCasterComponent", ComponentName="title", LocationId="RC01", ComponentType="text",
        Effect="none", ComponentLayer=json.dumps(place), TextLayerContent=json.dumps(content),
    )["ComponentId"]
    renamed = with_caster("ModifyCasterComponent", ComponentId=title, ComponentName="Title")
    same(renamed["ComponentId"], title, "ComponentId")
    component = only(with_caster("DescribeCasterComponents")["Components"]["Component"], "components")
    same((component["ComponentName"], component["LocationId"]), ("Title", "RC01"), "the component")
    text = component["TextLayerContent"]
    same((text["Text"], text["Color"], text["SizeNormalized"]), ("hello 世界!", "0x00ff00", 0.08), "the text")
    same(component["ComponentLayer"]["PositionNormalizeds"]["Position"], [0.05, 0.85], "Position")

    started = with_caster("StartCaster")
    pvw = only(started["PvwSceneInfos"]["SceneInfo"], "PVW")
    pgm = only(started["PgmSceneInfos"]["SceneInfo"], "PGM")
    infos = pgm["StreamInfos"]["StreamInfo"]
    same(sorted({info["VideoFormat"] for info in infos}), ["flv", "m3u8", "rtmp"], "formats")
    with_caster("SetCasterSceneConfig", SceneId=pvw["SceneId"], LayoutId=layout, ComponentId=[title])
    with_caster("CopyCasterSceneConfig", FromSceneId=pvw["SceneId"], ToSceneId=pgm["SceneId"])
    scenes = with_caster("DescribeCasterScenes")["SceneList"]["Scene"]
    programme = only([s for s in scenes if s["OutputType"] == "1"], "PGM scenes")
    same((programme["SceneId"], programme["Status"]), (pgm["SceneId"], 1), "PGM")
    same(programme["LayoutId"], layout, "the layout on air")
    same(programme["ComponentIds"]["componentId"], [title], "the components on air")
    streams = with_caster("DescribeCasterStreamUrl")
    same(streams["CasterId"], caster, "CasterId")
    same(sorted(s["OutputType"] for s in streams["CasterStreams"]["CasterStream"]), [0, 1], "streams")
    with_caster("UpdateCasterSceneConfig", SceneId=pvw["SceneId"], LayoutId=layout)
    with_caster(
        "UpdateCasterSceneAudio", SceneId=pgm["SceneId"], FollowEnable=0, MixList=["RV02"],
        AudioLayer=[dict(VolumeRate=0.5, ValidChannel="leftChannel", FixedDelayDuration=0)],
    )
    audio = with_caster("DescribeCasterSceneAudio", SceneId=pgm["SceneId"])
    same((audio["FollowEnable"], audio["MixList"]["LocationId"]), (0, ["RV02"]), "the mix")
    same(only(audio["AudioLayers"]["AudioLayer"], "audio layers")["VolumeRate"], 0.5, "the gain")
    found = call("DescribeCasters", dict(CasterId=caster, Status=1, PageNum=1, PageSize=10))
    item = only(found["CasterList"]["Caster"], "casters on air")
    same((found["Total"], item["Status"], item["NormType"]), (1, 1, 1), "the caster on air")

    with_caster("StopCaster")
    with_caster("DeleteCasterComponent", ComponentId=title)
    with_caster("DeleteCasterVideoResource", ResourceId=second["ResourceId"])
    same(with_caster("DeleteCaster")["CasterId"], caster, "the deleted caster")
