// A finished canvas, smaller: every sample is the mean of what it covers. Needs canvas.wgsl.
//
// The same as an area average of sample.wgsl, from a buffer. Chroma is sited left on both.

struct ScaleParams {
    area: Area,
    // The canvas that is read.
    whole_size_px: vec2<u32>,
    whole_row_words: u32,
    whole_chroma_word: u32,
    whole_per_pixel: vec2<f32>,
}

var<immediate> params: ScaleParams;

@group(1) @binding(0) var<storage, read> whole: array<u32>;

// U and V of a chroma sample, or a luma sample and something else.
fn codes_at(is_chroma: bool, at: vec2<u32>) -> vec2<f32> {
    let row = at.y * params.whole_row_words;
    if is_chroma {
        let codes = unpack_codes(whole[params.whole_chroma_word + row + at.x / 2u]);
        return select(codes.xy, codes.zw, (at.x & 1u) != 0u);
    }
    return vec2(f32((whole[row + at.x / 4u] >> (8u * (at.x & 3u))) & 0xffu));
}

// The mean of the samples around `at` that one of ours covers, each weighted by how much of it is covered; edges are
// repeated.
fn mean(is_chroma: bool, at: vec2<f32>) -> vec2<f32> {
    let size = params.whole_size_px / select(1u, 2u, is_chroma);
    let last = vec2<i32>(size) - 1;
    let begin = at - 0.5 * params.whole_per_pixel;
    let end = at + 0.5 * params.whole_per_pixel;
    var sum = vec2(0.0);
    for (var y = floor(begin.y); y < end.y; y += 1.0) {
        let weight_y = min(y + 1.0, end.y) - max(y, begin.y);
        for (var x = floor(begin.x); x < end.x; x += 1.0) {
            let weight = weight_y * (min(x + 1.0, end.x) - max(x, begin.x));
            sum += weight * codes_at(is_chroma, vec2<u32>(clamp(vec2(i32(x), i32(y)), vec2(0), last)));
        }
    }
    return sum / (params.whole_per_pixel.x * params.whole_per_pixel.y);
}

fn luma(at: vec2<f32>) -> f32 {
    return mean(false, (at + 0.5) * params.whole_per_pixel).x;
}

fn luma_row(corner: vec2<f32>) -> u32 {
    let x = vec2(1.0, 0.0);
    return pack_codes(vec4(luma(corner), luma(corner + x), luma(corner + 2.0 * x), luma(corner + 3.0 * x)));
}

fn chroma(corner: vec2<f32>) -> vec2<f32> {
    let at = (corner + vec2(0.5, 1.0)) * params.whole_per_pixel;
    return mean(true, vec2(0.5 * at.x + 0.25, 0.5 * at.y));
}

@compute @workgroup_size(8, 8)
fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= params.area.block_count) {
        return;
    }
    // The whole of the smaller canvas: what lies beside it in the last word of a row is nobody's.
    let words = words_of(params.area, id.xy);
    let corner = vec2<f32>(id.xy * vec2(4u, 2u));
    canvas[words.x] = luma_row(corner);
    canvas[words.y] = luma_row(corner + vec2(0.0, 1.0));
    canvas[words.z] = pack_codes(vec4(chroma(corner), chroma(corner + vec2(2.0, 0.0))));
}
