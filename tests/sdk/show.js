// The worked example and a call of every other operation, for the Node clients, which know no operation by itself.
// `call(action, parameters)` answers the response.
// At `liveUrl` there is a live stream; a video and an image are in the media library by their ids.
const assert = require('assert');
const { randomUUID } = require('crypto');

const NOWHERE = '127.0.0.1:9';
const time = (hour) => `2099-01-01T0${hour}:00:00Z`;

exports.play = async (send, liveUrl, { MaterialId, ImageId }) => {
  const called = new Set();
  const call = (action, parameters) => {
    called.add(action);
    return send(action, parameters);
  };
  const { CasterId } = await call('CreateCaster', {
    CasterName: '演播 demo*~+', ClientToken: randomUUID(), NormType: 1, ChargeType: 'PostPaid',
    'Tag.1.Key': 'stage', 'Tag.1.Value': 'test',
  });
  const on = (action, parameters) => call(action, { CasterId, ...parameters });
  const config = {
    DomainName: '127.0.0.1', Delay: 0, UrgentImageUrl: 'file:standby.png', CallbackUrl: 'http://hook.example.com/cb',
    TranscodeConfig: JSON.stringify({ casterTemplate: 'lp_ld', LiveTemplateIds: { LocationId: ['lld'] } }),
    SideOutputUrlList: `"rtmp://${NOWHERE}/app/s1"`, AutoSwitchUrgentOn: true, AutoSwitchUrgentConfig: '{"eofThres":5}',
  };
  await on('SetCasterConfig', config);
  const told = await on('DescribeCasterConfig');
  assert.deepStrictEqual(told.TranscodeConfig.LiveTemplateIds.LocationId, ['lld']);
  assert.strictEqual(told.AutoSwitchUrgentOn, 'true');
  const resources = [];
  for (const source of [
    { LiveStreamUrl: liveUrl }, { VodUrl: 'pattern:640x360@30', RepeatNum: -1, BeginOffset: 1000 },
    { LiveStreamUrl: `rtmp://${NOWHERE}/app/cam2` }, { MaterialId }, { ImageId },
  ]) {
    const place = `RV0${resources.length + 1}`;
    resources.push(
      (await on('AddCasterVideoResource', { ResourceName: place, LocationId: place, ...source })).ResourceId,
    );
  }
  await on('ModifyCasterVideoResource', { ResourceId: resources[1], ResourceName: 'clip' });
  const listed = (await on('DescribeCasterVideoResources')).VideoResources.VideoResource;
  assert.strictEqual(listed[1].ResourceName, 'clip');
  assert.deepStrictEqual([listed[3].MaterialId, listed[4].ImageId], [MaterialId, ImageId]);
  const layers = {
    'BlendList.1': 'RV01', 'VideoLayer.1.FillMode': 'fit', 'VideoLayer.1.WidthNormalized': 1,
    'VideoLayer.1.HeightNormalized': 1, 'VideoLayer.1.PositionNormalized.1': 0,
    'VideoLayer.1.PositionNormalized.2': 0, 'BlendList.2': 'RV02', 'VideoLayer.2.FillMode': 'fit',
    'VideoLayer.2.WidthNormalized': 0.3, 'VideoLayer.2.HeightNormalized': 0.3, 'MixList.1': 'RV01',
    'AudioLayer.1.VolumeRate': '1.0',
  };
  const { LayoutId } = await on('AddCasterLayout', layers);
  await on('ModifyCasterLayout', { LayoutId, 'MixList.1': 'RV02' });
  assert.deepStrictEqual((await on('DescribeCasterLayouts')).Layouts.Layout[0].MixList.LocationId, ['RV02']);
  const { ComponentId } = await on('AddCasterComponent', {
    ComponentName: 'title', LocationId: 'RC01', ComponentType: 'text', Effect: 'none',
    ComponentLayer: JSON.stringify({ PositionNormalized: [0.05, 0.85] }),
    TextLayerContent: JSON.stringify({ Text: 'hello 世界', Color: 0xff0000, SizeNormalized: 0.08 }),
  });
  await on('ModifyCasterComponent', { ComponentId, ComponentName: 'Title' });
  assert.strictEqual((await on('DescribeCasterComponents')).Components.Component[0].ComponentName, 'Title');
  await rundown(on, resources[1], ComponentId);
  await channels(call, CasterId);
  await groups(call);
  await on('SetCasterSyncGroup', {
    'SyncGroup.1.Mode': 0, 'SyncGroup.1.HostResourceId': resources[0], 'SyncGroup.1.ResourceIds.1': resources[2],
  });
  const { SyncGroups } = await on('DescribeCasterSyncGroup');
  assert.strictEqual(SyncGroups.SyncGroup[0].HostResourceId, resources[0]);
  await on('SetCasterTimedEvent', { EventName: 'StopCaster', StartTimeUTC: time(0) });
  assert((await on('DescribeCasterRtcInfo')).AuthToken);
  await onAir(call, on, { CasterId, LayoutId, ComponentId, ResourceId: resources[0] });
  await on('DeleteCasterLayout', { LayoutId });
  await on('DeleteCasterComponent', { ComponentId });
  await on('DeleteCasterVideoResource', { ResourceId: resources[1] });
  assert.strictEqual((await on('DeleteCaster', {})).CasterId, CasterId);
  await assert.rejects(on('DeleteCaster', {}), (refused) => {
    assert.strictEqual(refused.code, 'InvalidCaster.NotFound', refused);
    return true;
  });
  await assert.rejects(on('DescribeShowList', {}), (refused) => {
    assert.strictEqual(refused.code, 'InvalidShowList.NotFound', refused);
    return true;
  });
  called.delete('DescribeShowList');
  assert.strictEqual(called.size, 50, [...called].join(' '));
};

async function rundown(on, ResourceId, ComponentId) {
  const { EpisodeId } = await on('AddCasterEpisode', {
    EpisodeType: 'Resource', EpisodeName: 'opening', ResourceId, SwitchType: 'TimeFirst', StartTime: time(0),
    EndTime: time(1), 'ComponentId.1': ComponentId,
  });
  const { EpisodeIds } = await on('AddCasterProgram', {
    'Episode.1.EpisodeType': 'Component', 'Episode.1.ComponentId.1': ComponentId, 'Episode.1.StartTime': time(2),
    'Episode.1.EndTime': time(3),
  });
  await on('ModifyCasterEpisode', { EpisodeId, EpisodeName: 'Opening' });
  const second = EpisodeIds.EpisodeId[0].EpisodeId;
  await on('ModifyCasterProgram', { 'Episode.1.EpisodeId': second, 'Episode.1.EndTime': time(4) });
  const { Total, Episodes } = await on('DescribeCasterProgram');
  assert.strictEqual(Total, 2);
  assert.strictEqual(Episodes.Episode[0].EpisodeName, 'Opening');
  assert.deepStrictEqual(Episodes.Episode[0].ComponentIds.ComponentId, [ComponentId]);
  assert.strictEqual(Episodes.Episode[1].EndTime, time(4));
  await on('DeleteCasterEpisode', { EpisodeId });
  await on('DeleteCasterProgram');
}

async function channels(call, SrcCasterId) {
  const copied = await call('CopyCaster', { SrcCasterId, CasterName: 'copy', ClientToken: randomUUID() });
  const on = (action, parameters) => call(action, { CasterId: copied.CasterId, ...parameters });
  await on('SetCasterConfig', { ChannelEnable: 1 });
  const { VideoResources } = await on('DescribeCasterVideoResources');
  const { ResourceId } = VideoResources.VideoResource[1];
  await on('SetCasterChannel', { ChannelId: 'RV05', ResourceId, SeekOffset: 500, PlayStatus: 1 });
  const { Channels } = await on('DescribeCasterChannels');
  const [channel] = Channels.Channel;
  assert.deepStrictEqual({ ...channel }, { ChannelId: 'RV05', ResourceId });
  await on('DeleteCaster');
}

async function groups(call) {
  const carousel = {
    DomainName: '127.0.0.1', StartTime: time(0), RepeatNum: 0, SideOutputUrl: `rtmp://${NOWHERE}/app/carousel`,
    CallbackUrl: 'http://hook.example.com/cb',
  };
  const first = await call('AddCasterEpisodeGroup', {
    ...carousel, ClientToken: randomUUID(), 'Item.1.ItemName': 'one', 'Item.1.VodUrl': 'file:one.mp4',
  });
  const Content = JSON.stringify({ ...carousel, Items: [{ ItemName: 'one', VodUrl: 'file:one.mp4' }] });
  const second = await call('AddCasterEpisodeGroupContent', { ClientToken: randomUUID(), Content });
  for (const { ProgramId, ItemIds } of [first, second]) {
    assert.strictEqual(ItemIds.ItemId.length, 1);
    await call('DeleteCasterEpisodeGroup', { ProgramId });
  }
}

async function onAir(call, on, { CasterId, LayoutId, ComponentId, ResourceId }) {
  const started = await on('StartCaster', {});
  const pvw = started.PvwSceneInfos.SceneInfo[0].SceneId;
  const pgm = started.PgmSceneInfos.SceneInfo[0].SceneId;
  const infos = started.PgmSceneInfos.SceneInfo[0].StreamInfos.StreamInfo;
  assert.deepStrictEqual(infos.map((info) => info.TranscodeConfig), [...Array(3), ...Array(3).fill('lld')]);
  await on('SetCasterSceneConfig', { SceneId: pvw, LayoutId, 'ComponentId.1': ComponentId });
  await on('CopyCasterSceneConfig', { FromSceneId: pvw, ToSceneId: pgm });
  const { SceneList } = await on('DescribeCasterScenes', { SceneId: pgm });
  assert.strictEqual(SceneList.Scene[0].LayoutId, LayoutId);
  assert.deepStrictEqual(SceneList.Scene[0].ComponentIds.componentId, [ComponentId]);
  assert.strictEqual((await on('DescribeCasterStreamUrl')).Total, 2);
  await on('EffectCasterUrgent', { SceneId: pgm });
  await on('SetCasterSceneConfig', { SceneId: pgm });
  await on('UpdateCasterSceneConfig', { SceneId: pvw, LayoutId });
  await on('EffectCasterVideoResource', { SceneId: pvw, ResourceId });
  await on('UpdateCasterSceneAudio', {
    SceneId: pgm, 'MixList.1': 'RV02', 'AudioLayer.1.VolumeRate': 0.5, 'AudioLayer.1.Filter': '{"enableAns":1}',
  });
  const audio = await on('DescribeCasterSceneAudio', { SceneId: pgm });
  assert.strictEqual(audio.AudioLayers.AudioLayer[0].VolumeRate, 0.5);
  await on('DeleteCasterSceneConfig', { SceneId: pvw, Type: 'All' });
  await on('StopCasterScene', { SceneId: pvw });
  assert.match((await on('StartCasterScene', { SceneId: pvw })).StreamUrl, /^rtmp:/);
  await on('UpdateCasterResourceGroup', { NewResourceGroupId: 'rg-2' });
  const { Total, CasterList } = await call('DescribeCasters', { CasterId, OrderByModifyAsc: true });
  assert.strictEqual(Total, 1);
  assert.match(CasterList.Caster[0].CasterName, /演播/);
  await on('RestartCaster');
  await on('StopCaster', {});
}
