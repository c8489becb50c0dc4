// One layer: a decoded picture brought into its rectangle, turned, cut and mirrored as an affine map says. Plain ones
// hide what is under them; shaped ones have an opacity, round corners or a border. Needs canvas.wgsl and sample.wgsl.
//
// The canvas' chroma is sited left: a sample lies on the left luma column of its pair, half-way between the two rows.

struct LayerParams {
    area: Area,
    // From a position on the canvas to luma texels of the source: what a step right adds, a step down, and the begin.
    source_from_x: vec2<f32>,
    source_from_y: vec2<f32>,
    source_origin: vec2<f32>,
    // Added to a position where luma texels become chroma texels: where chroma is sited.
    chroma_origin: vec2<f32>,
    // Y of the canvas from (Y, U, V, 1) of the source.
    to_y: vec4<f32>,
    // U and V of the canvas from the distances of the source's from grey. Grey stays grey: luma has no say in it.
    uv_from_u: vec2<f32>,
    uv_from_v: vec2<f32>,
    // What is shown of the source, from the top left to the bottom right corner; it just fills the rectangle.
    window_begin: vec2<f32>,
    window_end: vec2<f32>,
    corner_radius_px: f32,
    // Along the inside of the edge.
    border_px: f32,
    // 0–1.
    opacity: f32,
    // Y, U, V in the low bytes.
    border_code: u32,
}

var<immediate> params: LayerParams;

@group(1) @binding(0) var source_y: texture_2d<f32>;
// U alone or U and V interleaved; source_v is then the same texture.
@group(1) @binding(1) var source_u: texture_2d<f32>;
@group(1) @binding(2) var source_v: texture_2d<f32>;

// How chroma texels become samples of the canvas; FILTER is luma's.
override CHROMA_FILTER: u32;
// Whether U and V are planes of their own.
override PLANAR: bool;
// Code value (of 8 bits, any fraction) of a texel that reads 1.
override CODES: f32;
// Whether the source's colour differs from the canvas'.
override CONVERT: bool;
// Whether what is under the layer shows, or a border does.
override SHAPED: bool;

const GREY: f32 = 128.0;

fn source_at(canvas_px: vec2<f32>) -> vec2<f32> {
    return canvas_px.x * params.source_from_x + canvas_px.y * params.source_from_y + params.source_origin;
}

// Texels of luma that a pixel covers along each axis of the source.
fn reach() -> vec2<f32> {
    return abs(params.source_from_x) + abs(params.source_from_y);
}

// Chroma texels per luma texel: a half where two share one.
fn chroma_per_luma() -> vec2<f32> {
    return select(vec2(1.0), vec2(0.5), textureDimensions(source_u) < textureDimensions(source_y));
}

// The window in texels of a plane that has so many of them per luma texel.
fn window(per_luma: vec2<f32>) -> Window {
    let end = vec2<i32>(ceil(params.window_end * per_luma));
    return Window(vec2<i32>(params.window_begin * per_luma), end - 1);
}

fn chroma_by(filtered: u32, canvas_px: vec2<f32>, pixels: f32) -> vec2<f32> {
    let per_luma = chroma_per_luma();
    let shown = window(per_luma);
    let at = source_at(canvas_px) * per_luma + params.chroma_origin;
    let texels = pixels * reach() * per_luma;
    if PLANAR {
        return CODES * vec2(
            sample_by(filtered, source_u, shown, at, texels).r,
            sample_by(filtered, source_v, shown, at, texels).r,
        );
    }
    return CODES * sample_by(filtered, source_u, shown, at, texels).rg;
}

// Chroma under a luma sample, which lies between chroma samples even where the layer is not scaled.
fn chroma_under(canvas_px: vec2<f32>) -> vec2<f32> {
    if CHROMA_FILTER == AREA {
        return chroma_by(AREA, canvas_px, 1.0);
    }
    return chroma_by(BILINEAR, canvas_px, 1.0);
}

fn luma_at(canvas_px: vec2<f32>) -> f32 {
    let at = source_at(canvas_px);
    let y = CODES * sample_by(FILTER, source_y, window(vec2(1.0)), at, reach()).r;
    if CONVERT {
        return dot(params.to_y, vec4(y, chroma_under(canvas_px), 1.0));
    }
    return y;
}

fn luma_row(corner: vec2<f32>) -> vec4<f32> {
    var row: vec4<f32>;
    for (var x = 0u; x < 4u; x++) {
        row[x] = luma_at(corner + vec2(f32(x), 0.0) + 0.5);
    }
    return row;
}

fn chroma_pair(corner: vec2<f32>) -> vec2<f32> {
    let uv = chroma_by(CHROMA_FILTER, corner + vec2(0.5, 1.0), 2.0);
    if CONVERT {
        let from_grey = uv - GREY;
        return GREY + from_grey.x * params.uv_from_u + from_grey.y * params.uv_from_v;
    }
    return uv;
}

// Of four pixels of a row: how much of each is the layer, and how much is its picture; the rest of the layer is border.
struct Shares {
    layer: vec4<f32>,
    picture: vec4<f32>,
}

// How far a position is outside of the rectangle with round corners; inside, the distance is negative. The window of the
// source is the rectangle, turned perhaps, which makes no difference to a shape that is the same from all four sides.
fn distance_px(canvas_px: vec2<f32>) -> f32 {
    let radius = params.corner_radius_px;
    let middle = 0.5 * (params.window_begin + params.window_end);
    let inside = params.window_end - middle - abs(source_at(canvas_px) - middle);
    let beyond = radius - inside / reach();
    return length(max(beyond, vec2(0.0))) + min(max(beyond.x, beyond.y), 0.0) - radius;
}

// By the pixels' middles; one on an edge counts in part.
fn shares(corner: vec2<f32>) -> Shares {
    var outside: vec4<f32>;
    for (var x = 0u; x < 4u; x++) {
        outside[x] = distance_px(corner + vec2(f32(x), 0.0) + 0.5);
    }
    let layer = saturate(0.5 - outside);
    let picture = saturate(0.5 - outside - params.border_px);
    return Shares(params.opacity * layer, params.opacity * picture);
}

// Means over the 2 × 2 pixels that share a chroma sample, for both samples of a block.
fn chroma_means(top: vec4<f32>, low: vec4<f32>) -> vec4<f32> {
    let columns = top + low;
    return 0.25 * (columns.xz + columns.yw).xxyy;
}

fn blended(picture: vec4<f32>, border: vec4<f32>, share: Shares, under: u32) -> u32 {
    let over = share.picture * clamp(picture, vec4(0.0), vec4(255.0)) + (share.layer - share.picture) * border;
    return pack_codes(over + (1.0 - share.layer) * unpack_codes(under));
}

@compute @workgroup_size(8, 8)
fn layer(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= params.area.block_count) {
        return;
    }
    let block = params.area.first_block + id.xy;
    let corner = vec2<f32>(block * vec2(4u, 2u));
    let below = corner + vec2(0.0, 1.0);
    let top_y = luma_row(corner);
    let low_y = luma_row(below);
    let uv = vec4(chroma_pair(corner), chroma_pair(corner + vec2(2.0, 0.0)));
    let words = words_of(params.area, block);
    let mask = mask_of(params.area, block);
    if SHAPED {
        let border = unpack_codes(params.border_code);
        let top = shares(corner);
        let low = shares(below);
        let both = Shares(chroma_means(top.layer, low.layer), chroma_means(top.picture, low.picture));
        put(words.x, blended(top_y, border.xxxx, top, canvas[words.x]), mask);
        put(words.y, blended(low_y, border.xxxx, low, canvas[words.y]), mask);
        put(words.z, blended(uv, border.yzyz, both, canvas[words.z]), mask);
    } else {
        put(words.x, pack_codes(top_y), mask);
        put(words.y, pack_codes(low_y), mask);
        put(words.z, pack_codes(uv), mask);
    }
}
