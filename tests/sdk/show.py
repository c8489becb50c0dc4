"""The worked example of the API and a call of every other operation, for whichever client `call` belongs to."""
import json
import uuid

# Far enough away that nothing of it happens meanwhile.
TIMES = [f"2099-01-01T0{hour}:00:00Z" for hour in range(6)]
# A port at which nobody listens.
NOWHERE = "127.0.0.1:9"


def same(actual, expected, what):
    if actual != expected:
        raise SystemExit(f"{what}: {actual!r}, expected {expected!r}")


def only(items, what):
    same(len(items), 1, f"number of {what}")
    return items[0]


def flat(parameters):
    """As they travel: `VideoLayer.1.PositionNormalized.2`."""
    texts = {}
    for name, value in parameters.items():
        if isinstance(value, list):
            value = {str(index): item for index, item in enumerate(value, 1)}
        if isinstance(value, dict):
            texts.update({f"{name}.{inner}": text for inner, text in flat(value).items()})
        else:
            texts[name] = str(value)
    return texts


class Studio:
    """A caster, called by its name."""

    def __init__(self, call, caster):
        self.call, self.caster = call, caster

    def __getattr__(self, action):
        return lambda **parameters: self.call(action, dict(CasterId=self.caster, **parameters))


def play(call, live_url, library):
    """`call(action, parameters)` answers the response as a dict, or raises. At `live_url` there is a live stream; a video
    and an image are in the `library` by these ids."""
    token = str(uuid.uuid4())
    create = dict(
        CasterName="演播 demo*~+&=", ClientToken=token, NormType=1, ChargeType="PostPaid",
        ResourceGroupId="rg-1", Tag=[dict(Key="stage", Value="test")],
    )
    caster = call("CreateCaster", create)["CasterId"]
    same(call("CreateCaster", create)["CasterId"], caster, "the caster of the same token")
    studio = Studio(call, caster)
    configure(studio)
    resources = add_resources(studio, live_url, library)
    configure_whole(studio, resources, library)
    layout = add_layouts(studio)
    title, logo = add_components(studio, library[1])
    rundown(studio, resources, title)
    channels(call, caster)
    groups(call)
    on_air(studio, layout, title, resources[0])
    studio.DeleteCasterComponent(ComponentId=logo)
    deleted = studio.DeleteCasterComponent(ComponentId=title)
    same((deleted["CasterId"], deleted["ComponentId"]), (caster, title), "the deleted component")
    studio.DeleteCasterVideoResource(ResourceId=resources[1])
    same(studio.DeleteCaster()["CasterId"], caster, "the deleted caster")


def configure(studio):
    relays = json.dumps([f"rtmp://{NOWHERE}/app/s1"])
    transcode = json.dumps({"CasterTemplate": "lp_ld", "LiveTemplate": ["lld"]})
    configured = studio.SetCasterConfig(
        CasterName="demo", DomainName="127.0.0.1", TranscodeConfig=transcode, Delay=0,
        UrgentImageUrl="file:standby.png", CallbackUrl="http://hook.example.com/cb",
        SideOutputUrlList=relays,
    )
    same(configured["CasterId"], studio.caster, "CasterId")
    config = studio.DescribeCasterConfig()
    same((config["CasterName"], config["DomainName"]), ("demo", "127.0.0.1"), "name and domain")
    same(config["TranscodeConfig"]["CasterTemplate"], "lp_ld", "CasterTemplate")
    same(config["TranscodeConfig"]["LiveTemplateIds"], {"LocationId": ["lld"]}, "renditions")
    same(config["UrgentImageUrl"], "file:standby.png", "standby")
    same(config["CallbackUrl"], "http://hook.example.com/cb", "CallbackUrl")
    same(json.loads(config["SideOutputUrlList"]), json.loads(relays), "relays")
    same((config["Delay"], config["AutoSwitchUrgentOn"]), (0.0, "false"), "delay, automatic standby")
    same("RecordConfig" in config, False, "a recording that was not asked for")


def add_resources(studio, live_url, library):
    clip = dict(VodUrl="pattern:640x360@30", RepeatNum=-1, BeginOffset=1000, EndOffset=0)
    sources = [
        dict(LiveStreamUrl=live_url),
        clip,
        dict(LiveStreamUrl=f"http://{NOWHERE}/app/cam2.flv"),
        dict(ImageUrl="file:logo.png"),
        dict(MaterialId=library[0], RepeatNum=-1),
        dict(ImageId=library[1]),
    ]
    added = [
        studio.AddCasterVideoResource(ResourceName=f"source {n}", LocationId=f"RV{n:02}", **source)
        for n, source in enumerate(sources, 1)
    ]
    resources = [answer["ResourceId"] for answer in added]
    modified = studio.ModifyCasterVideoResource(
        ResourceId=resources[1], ResourceName="clip", PtsCallbackInterval=1000
    )
    same((modified["CasterId"], modified["ResourceId"]), (studio.caster, resources[1]), "the modified")
    listed = studio.DescribeCasterVideoResources()
    same(listed["Total"], 6, "Total")
    live, file, flv, image, material, still = listed["VideoResources"]["VideoResource"]
    same([file[name] for name in clip], list(clip.values()), "the file")
    same((file["ResourceName"], file["PtsCallbackInterval"]), ("clip", 1000), "the modified file")
    same((live["LiveStreamUrl"], live["LocationId"]), (live_url, "RV01"), "the live source")
    same(flv["FlvUrl"], sources[2]["LiveStreamUrl"], "FlvUrl")
    same(image["ImageUrl"], "file:logo.png", "the image")
    same((material["MaterialId"], still["ImageId"]), library, "what is in the media library")
    return resources


def configure_whole(studio, resources, library):
    """Everything that a studio can be told, and told again by it."""
    formats = [
        dict(Format="flv", CycleDuration=900, OssObjectPrefix="record/{StreamName}/{StartTime}_{EndTime}"),
        dict(Format="m3u8", CycleDuration=600, OssObjectPrefix="record/{StreamName}/{StartTime}",
             SliceOssObjectPrefix="record/{StreamName}/{UnixTimestamp}"),
    ]
    record = dict(OssEndpoint="oss.example.com", OssBucket="shows", OnDemand=7, VideoFormat=formats)
    group = dict(mode=0, resourceIds=[resources[0], resources[2]], hostResourceId=resources[0])
    studio.SetCasterConfig(
        CasterName="demo", DomainName="127.0.0.1", Delay=0.5, ProgramName="evening", ProgramEffect=0,
        TranscodeConfig=json.dumps({"casterTemplate": "lp_ld", "liveTemplate": ["lld"], "VideoBps": 800000}),
        RecordConfig=json.dumps(record), SyncGroupsConfig=json.dumps([group]), ChannelEnable=0,
        UrgentImageUrl="file:standby.png", UrgentLiveStreamUrl=f"rtmp://{NOWHERE}/app/standby",
        UrgentMaterialId=library[0], UrgentImageId=library[1],
        AutoSwitchUrgentOn=True, AutoSwitchUrgentConfig=json.dumps({"eofThres": 3}),
        CallbackUrl="http://hook.example.com/cb", SideOutputUrl=f"rtmp://{NOWHERE}/app/s2",
        SideOutputUrlList=json.dumps([f"rtmp://{NOWHERE}/app/s1"]),
    )
    config = studio.DescribeCasterConfig()
    same((config["Delay"], config["ProgramName"], config["ProgramEffect"]), (0.5, "evening", 0), "config")
    same(config["AutoSwitchUrgentOn"], "true", "AutoSwitchUrgentOn")
    same(json.loads(config["AutoSwitchUrgentConfig"])["eofThres"], 3, "eofThres")
    same(config["UrgentLiveStreamUrl"], f"rtmp://{NOWHERE}/app/standby", "UrgentLiveStreamUrl")
    same((config["UrgentMaterialId"], config["UrgentImageId"]), library, "standby of the library")
    same(config["SideOutputUrl"], f"rtmp://{NOWHERE}/app/s2", "SideOutputUrl")
    kept = config["RecordConfig"]
    same([kept[name] for name in ("OssEndpoint", "OssBucket", "OnDemand")],
         ["oss.example.com", "shows", 7], "RecordConfig")
    same(kept["RecordFormat"]["RecordFormat"], formats, "RecordFormat")
    kept = only(config["SyncGroupsConfig"]["SyncGroup"], "sync groups")
    same((kept["Mode"], kept["HostResourceId"]), (0, resources[0]), "the sync group")
    same(kept["ResourceIds"]["ResourceId"], [resources[0], resources[2]], "its members")

    # Of older clients.
    groups = [dict(Mode=1, ResourceIds=[resources[0], resources[2]])]
    studio.SetCasterSyncGroup(SyncGroup=groups)
    told = studio.DescribeCasterSyncGroup()
    same(only(told["SyncGroups"]["SyncGroup"], "sync groups")["Mode"], 1, "Mode")
    same(told["CasterId"], studio.caster, "CasterId")
    studio.SetCasterTimedEvent(EventName="StopCaster", StartTimeUTC=TIMES[0])
    told = studio.DescribeCasterRtcInfo()
    same((told["CasterId"], bool(told["AuthToken"])), (studio.caster, True), "the token")
    configure(studio)


def add_layouts(studio):
    full = dict(
        FillMode="fit", WidthNormalized=1.0, HeightNormalized=1.0, PositionRefer="topLeft",
        PositionNormalized=[0.0, 0.0], FixedDelayDuration=40,
    )
    inset = dict(full, WidthNormalized=0.3, HeightNormalized=0.3, PositionNormalized=[0.68, 0.02])
    layers = dict(
        BlendList=["RV01", "RV02"], VideoLayer=[full, inset], MixList=["RV01"],
        AudioLayer=[dict(VolumeRate=0.8, ValidChannel="all", FixedDelayDuration=40)],
    )
    layout = studio.AddCasterLayout(**layers)["LayoutId"]
    spare = studio.AddCasterLayout(**layers)["LayoutId"]
    same(studio.ModifyCasterLayout(LayoutId=spare, **layers)["LayoutId"], spare, "LayoutId")
    deleted = studio.DeleteCasterLayout(LayoutId=spare)
    same((deleted["CasterId"], deleted["LayoutId"]), (studio.caster, spare), "the deleted layout")
    stored = only(studio.DescribeCasterLayouts()["Layouts"]["Layout"], "layouts")
    same(stored["BlendList"]["LocationId"], ["RV01", "RV02"], "BlendList")
    same(stored["MixList"]["LocationId"], ["RV01"], "MixList")
    layer = stored["VideoLayers"]["VideoLayer"][1]
    same(layer["PositionNormalizeds"]["Position"], [0.68, 0.02], "Position")
    same((layer["WidthNormalized"], layer["FillMode"]), (0.3, "fit"), "the inset")
    same(layer["FixedDelayDuration"], 40, "its delay")
    sound = only(stored["AudioLayers"]["AudioLayer"], "audio layers")
    same((sound["VolumeRate"], sound["ValidChannel"]), (0.8, "all"), "the sound")
    return layout


def add_components(studio, image):
    content = dict(
        Text="hello 世界!", Color="0x00ff00", FontName="KaiTi", SizeNormalized="0.08",
        BorderWidthNormalized="0.05", BorderColor="0x000000",
    )
    place = dict(
        HeightNormalized="0", WidthNormalized="0", PositionRefer="topLeft",
        PositionNormalized=["0.05", "0.85"],
    )
    title = studio.AddCasterComponent(
        ComponentName="title", LocationId="RC01", ComponentType="text", Effect="none",
        ComponentLayer=json.dumps(place), TextLayerContent=json.dumps(content),
    )["ComponentId"]
    logo = studio.AddCasterComponent(
        ComponentName="logo", LocationId="RC02", ComponentType="image", LayerOrder="background",
        ComponentLayer=json.dumps(place), ImageLayerContent=json.dumps({"ImageUrl": "file:logo.png"}),
    )["ComponentId"]
    studio.AddCasterComponent(
        ComponentName="badge", LocationId="RC03", ComponentType="image", ComponentLayer=json.dumps(place),
        ImageLayerContent=json.dumps({"MaterialId": image}),
    )
    renamed = studio.ModifyCasterComponent(ComponentId=title, ComponentName="Title")
    same(renamed["ComponentId"], title, "ComponentId")
    listed = studio.DescribeCasterComponents()
    same(listed["Total"], 3, "Total")
    badge = listed["Components"]["Component"][2]
    same(badge["ImageLayerContent"]["MaterialId"], image, "the image of the library")
    told = studio.DescribeCasterComponents(ComponentId=title)
    component = only(told["Components"]["Component"], "components")
    same((component["ComponentName"], component["LocationId"]), ("Title", "RC01"), "the component")
    same((component["ComponentType"], component["Effect"]), ("text", "none"), "its type")
    text = component["TextLayerContent"]
    same((text["Text"], text["Color"], text["SizeNormalized"]), ("hello 世界!", "0x00ff00", 0.08), "the text")
    same(component["ComponentLayer"]["PositionNormalizeds"]["Position"], [0.05, 0.85], "Position")
    return title, logo


def rundown(studio, resources, title):
    def source(start, **more):
        return dict(
            EpisodeType="Resource", EpisodeName=f"from {start}", ResourceId=resources[1],
            ComponentId=[title], StartTime=TIMES[start], EndTime=TIMES[start + 1],
            SwitchType="ContentFirst", **more,
        )

    first = studio.AddCasterEpisode(**source(0))["EpisodeId"]
    overlay = dict(
        EpisodeType="Component", EpisodeName="title", ComponentId=[title], StartTime=TIMES[0],
        EndTime=TIMES[1],
    )
    added = studio.AddCasterProgram(Episode=[source(1), overlay])
    second, third = [item["EpisodeId"] for item in added["EpisodeIds"]["EpisodeId"]]
    modified = studio.ModifyCasterEpisode(EpisodeId=first, EpisodeName="opening", EndTime=TIMES[2])
    same((modified["CasterId"], modified["EpisodeId"]), (studio.caster, first), "the modified episode")
    later = dict(EpisodeId=second, StartTime=TIMES[3], EndTime=TIMES[4], SwitchType="TimeFirst")
    same(studio.ModifyCasterProgram(Episode=[later])["CasterId"], studio.caster, "CasterId")
    program = studio.DescribeCasterProgram(PageNum=1, PageSize=10)
    same((program["CasterId"], program["Total"]), (studio.caster, 3), "the rundown")
    opening, middle, title_only = program["Episodes"]["Episode"]
    same([e["EpisodeId"] for e in (opening, middle, title_only)], [first, second, third], "episodes")
    same((opening["EpisodeName"], opening["EndTime"]), ("opening", TIMES[2]), "the first episode")
    same(opening["ComponentIds"]["ComponentId"], [title], "its components")
    same((middle["StartTime"], middle["SwitchType"]), (TIMES[3], "TimeFirst"), "the second episode")
    same((middle["ResourceId"], middle["Status"]), (resources[1], 0), "its source")
    same((title_only["EpisodeType"], "ResourceId" in title_only), ("Component", False), "the third")
    found = studio.DescribeCasterProgram(EpisodeType="Component", Status=0, StartTime="2098-01-01T00:00:00Z")
    same(found["Total"], 1, "components")
    deleted = studio.DeleteCasterEpisode(EpisodeId=third)
    same((deleted["CasterId"], deleted["EpisodeId"]), (studio.caster, third), "the deleted episode")
    same(studio.DeleteCasterProgram()["CasterId"], studio.caster, "CasterId")
    same(studio.DescribeCasterProgram()["Total"], 0, "episodes left")


def channels(call, caster):
    """On a copy: what has channels has them for ever, and another kind of layouts."""
    copied = dict(SrcCasterId=caster, CasterName="copy", ClientToken=str(uuid.uuid4()))
    copy = Studio(call, call("CopyCaster", copied)["CasterId"])
    copy.SetCasterConfig(
        DomainName="127.0.0.1", TranscodeConfig=json.dumps({"CasterTemplate": "lp_ld"}), ChannelEnable=1,
        ProgramName="of channels",
    )
    same(copy.DescribeCasterProgram()["ProgramName"], "of channels", "ProgramName")
    same(copy.DescribeCasterLayouts()["Total"], 0, "layouts of locations")
    live, file, flv, *_ = [
        item["ResourceId"] for item in copy.DescribeCasterVideoResources()["VideoResources"]["VideoResource"]
    ]
    copy.SetCasterChannel(ChannelId="RV01", ResourceId=live, FaceBeauty="1")
    copy.SetCasterChannel(ChannelId="RV02", ResourceId=file, SeekOffset=1500, PlayStatus=0)
    copy.SetCasterChannel(ChannelId="RV03", ResourceId=flv)
    told = copy.DescribeCasterChannels()
    same(told["Total"], 3, "Total")
    first, second, third = told["Channels"]["Channel"]
    same((first["ChannelId"], first["ResourceId"], first["FaceBeauty"]), ("RV01", live, "1"), "RV01")
    same((first["RtmpUrl"][:7], "StreamUrl" in first), ("rtmp://", False), "its addresses")
    same((second["ResourceId"], third["StreamUrl"]), (file, f"http://{NOWHERE}/app/cam2.flv"), "RV02, RV03")
    listed = call("DescribeCasters", dict(CasterId=copy.caster))
    same(only(listed["CasterList"]["Caster"], "copies")["ChannelEnable"], 1, "ChannelEnable")
    copy.DeleteCaster()


def groups(call):
    carousel = dict(
        DomainName="127.0.0.1", StartTime=TIMES[0], RepeatNum=-1, SideOutputUrl=f"rtmp://{NOWHERE}/app/carousel",
        CallbackUrl="http://hook.example.com/cb",
    )
    items = [dict(ItemName=name, VodUrl=f"file:{name}.mp4") for name in ("one", "two")]
    token = str(uuid.uuid4())
    first = call("AddCasterEpisodeGroup", dict(carousel, ClientToken=token, Item=items))
    same(len(first["ItemIds"]["ItemId"]), 2, "items")
    again = call("AddCasterEpisodeGroup", dict(carousel, ClientToken=token, Item=items))
    same(again["ProgramId"], first["ProgramId"], "the group of the same token")
    content = dict(ClientToken=str(uuid.uuid4()), Content=json.dumps(dict(carousel, Items=items)))
    second = call("AddCasterEpisodeGroupContent", content)
    same(len(second["ItemIds"]["ItemId"]), 2, "items")
    for group in (first, second):
        call("DeleteCasterEpisodeGroup", dict(ProgramId=group["ProgramId"]))


def on_air(studio, layout, title, resource):
    started = studio.StartCaster()
    pvw = only(started["PvwSceneInfos"]["SceneInfo"], "PVW")["SceneId"]
    programme = only(started["PgmSceneInfos"]["SceneInfo"], "PGM")
    pgm, infos = programme["SceneId"], programme["StreamInfos"]["StreamInfo"]
    formats = [(info.get("TranscodeConfig"), info["VideoFormat"]) for info in infos]
    expected = [(version, form) for version in (None, "lld") for form in ("flv", "rtmp", "m3u8")]
    same(formats, expected, "streams")
    renditions = [info["OutputStreamUrl"] for info in infos if info.get("TranscodeConfig")]
    same(["_lld" in url for url in renditions], [True] * 3, "addresses of renditions")
    studio.SetCasterSceneConfig(SceneId=pvw, LayoutId=layout, ComponentId=[title])
    studio.CopyCasterSceneConfig(FromSceneId=pvw, ToSceneId=pgm)
    scenes = studio.DescribeCasterScenes()["SceneList"]["Scene"]
    programme = only([s for s in scenes if s["OutputType"] == "1"], "PGM scenes")
    same((programme["SceneId"], programme["Status"]), (pgm, 1), "PGM")
    same(programme["LayoutId"], layout, "the layout on air")
    same(programme["ComponentIds"]["componentId"], [title], "the components on air")
    streams = studio.DescribeCasterStreamUrl()
    same((streams["CasterId"], streams["Total"]), (studio.caster, 2), "the streams")
    same(sorted(s["OutputType"] for s in streams["CasterStreams"]["CasterStream"]), [0, 1], "streams")
    # Standby, and back.
    studio.EffectCasterUrgent(SceneId=pgm)
    studio.SetCasterSceneConfig(SceneId=pgm)
    studio.UpdateCasterSceneConfig(SceneId=pvw, LayoutId=layout)
    studio.EffectCasterVideoResource(SceneId=pvw, ResourceId=resource)
    beautify = json.dumps({"enableAgc": 0, "enableAns": 1, "ansMode": 1})
    studio.UpdateCasterSceneAudio(
        SceneId=pgm, FollowEnable=0, MixList=["RV02"],
        AudioLayer=[dict(VolumeRate=0.5, ValidChannel="leftChannel", FixedDelayDuration=0, Filter=beautify)],
    )
    audio = studio.DescribeCasterSceneAudio(SceneId=pgm)
    same((audio["CasterId"], audio["FollowEnable"]), (studio.caster, 0), "the mixer")
    same(audio["MixList"]["LocationId"], ["RV02"], "the mix")
    sound = only(audio["AudioLayers"]["AudioLayer"], "audio layers")
    same((sound["VolumeRate"], sound["ValidChannel"]), (0.5, "leftChannel"), "the gain")
    studio.DeleteCasterSceneConfig(SceneId=pvw, Type="All")
    studio.StopCasterScene(SceneId=pvw)
    same(studio.StartCasterScene(SceneId=pvw)["StreamUrl"][:7], "rtmp://", "StreamUrl")
    studio.UpdateCasterResourceGroup(NewResourceGroupId="rg-2")
    found = studio.DescribeCasters(Status=1, PageNum=1, PageSize=10, ResourceGroupId="rg-2")
    item = only(found["CasterList"]["Caster"], "casters on air")
    same((found["Total"], item["Status"], item["NormType"]), (1, 1, 1), "the caster on air")
    same(item["Tags"]["tag"], [{"TagKey": "stage", "TagValue": "test"}], "its tags")
    studio.RestartCaster()
    studio.StopCaster()
