// Two pictures become one, under a veil. Needs canvas.wgsl.
//
// Each output pixel lies at one place on the first picture and at one on the second. The weight of the second is a plane
// over the canvas, limited to 0–1: constant for a mix, steep for the edge of a wipe. Pictures move by even pixels, so half
// a word (two samples of luma, or U and V) stays together.

struct BlendParams {
    area: Area,
    size_px: vec2<i32>,
    // Added to an output position: where it lies on each picture.
    first_from: vec2<i32>,
    second_from: vec2<i32>,
    // Weight of the second picture at (x, y): dot(weight.xyz, (x, y, 1)).
    weight: vec4<f32>,
    // Y, U, V where the first picture has moved away.
    gap: vec4<f32>,
    // Y, U, V and opacity, 0–1.
    veil: vec4<f32>,
}

var<immediate> params: BlendParams;

@group(1) @binding(0) var<storage, read> first: array<u32>;
@group(1) @binding(1) var<storage, read> second: array<u32>;

// Luma, or chroma, whose rows are half as many.
struct Kind {
    first_word: u32,
    rows_shift: u32,
    gap: vec2<f32>,
    veil: vec2<f32>,
}

fn weight_at(x: f32, y: f32) -> f32 {
    return clamp(dot(params.weight.xyz, vec3(x, y, 1.0)), 0.0, 1.0);
}

fn is_inside(at: vec2<i32>) -> bool {
    return all(at >= vec2(0)) && all(at < params.size_px);
}

// Index of the word that holds the sample at an (even) position, which is inside.
fn word_at(kind: Kind, at: vec2<i32>) -> u32 {
    let place = vec2<u32>(at);
    return kind.first_word + (place.y >> kind.rows_shift) * params.area.row_words + place.x / 4u;
}

fn half_of(word: u32, x: i32) -> vec2<f32> {
    let codes = unpack_codes(word);
    return select(codes.xy, codes.zw, (x & 2) != 0);
}

// Two samples of the output, weighted each.
fn half(kind: Kind, at: vec2<i32>, weight: vec2<f32>) -> vec2<f32> {
    var codes = kind.gap;
    let on_first = at + params.first_from;
    if is_inside(on_first) {
        codes = half_of(first[word_at(kind, on_first)], on_first.x);
    }
    let on_second = at + params.second_from;
    if any(weight > vec2(0.0)) && is_inside(on_second) {
        codes += (half_of(second[word_at(kind, on_second)], on_second.x) - codes) * weight;
    }
    return codes + (kind.veil - codes) * params.veil.w;
}

fn luma_word(kind: Kind, at: vec2<i32>) -> u32 {
    let x = f32(at.x);
    let y = f32(at.y) + 0.5;
    let left = vec2(weight_at(x + 0.5, y), weight_at(x + 1.5, y));
    let right = vec2(weight_at(x + 2.5, y), weight_at(x + 3.5, y));
    return pack_codes(vec4(half(kind, at, left), half(kind, at + vec2(2, 0), right)));
}

// Weighted as the middle of the four pixels that share a sample.
fn chroma_word(kind: Kind, at: vec2<i32>) -> u32 {
    let x = f32(at.x) + 1.0;
    let y = f32(at.y) + 1.0;
    let left = half(kind, at, vec2(weight_at(x, y)));
    let right = half(kind, at + vec2(2, 0), vec2(weight_at(x + 2.0, y)));
    return pack_codes(vec4(left, right));
}

@compute @workgroup_size(8, 8)
fn blend(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= params.area.block_count) {
        return;
    }
    // The whole canvas: what lies beside it in the last word of a row is nobody's.
    let words = words_of(params.area, id.xy);
    let at = vec2<i32>(id.xy * vec2(4u, 2u));
    let luma = Kind(0u, 0u, params.gap.xx, params.veil.xx);
    let chroma = Kind(params.area.chroma_word, 1u, params.gap.yz, params.veil.yz);
    canvas[words.x] = luma_word(luma, at);
    canvas[words.y] = luma_word(luma, at + vec2(0, 1));
    canvas[words.z] = chroma_word(chroma, at);
}
