// One overlay: pre-multiplied RGBA blended over what is there. Needs canvas.wgsl and sample.wgsl.
//
// Blending gamma-encoded Y'CbCr is the same affine sum as blending gamma-encoded R'G'B'. Chroma and its alpha are
// means over the 2 × 2 pixels that share them.

// Whether it may end between pixels: its last ones are then covered in part.
override SOFT: u32;

struct OverlayParams {
    area: Area,
    // Top left of the texture on the canvas.
    origin_px: vec2<f32>,
    texels_per_pixel: vec2<f32>,
    // Where the whole overlay begins and ends, in texels of this texture.
    first_texel: vec2<f32>,
    past_texel: vec2<f32>,
    // 0–1.
    opacity: f32,
}

var<immediate> params: OverlayParams;

@group(1) @binding(0) var overlay_texture: texture_2d<f32>;

// BT.709, limited range: rows from pre-multiplied (R, G, B, alpha) to pre-multiplied code values.
const TO_Y = vec4(46.5594, 156.6288, 15.8118, 16.0);
const TO_U = vec4(-25.664152, -86.335848, 112.0, 128.0);
const TO_V = vec4(112.0, -101.730251, -10.269749, 128.0);

fn pixel(corner: vec2<f32>, x: f32, y: f32) -> vec4<f32> {
    let at = (corner + vec2(x + 0.5, y + 0.5)) * params.texels_per_pixel;
    return params.opacity * covered(at) * sample(overlay_texture, at, params.texels_per_pixel);
}

// How much of a pixel at this texel the overlay covers: as if beyond its edges there were nothing.
fn covered(at: vec2<f32>) -> f32 {
    if SOFT == 0u {
        return 1.0;
    }
    // Texels over which the filter goes from nothing to all.
    let reach = select(vec2(1.0), max(params.texels_per_pixel, vec2(1.0)), FILTER == AREA);
    let begin = clamp((at - params.first_texel) / reach + 0.5, vec2(0.0), vec2(1.0));
    let end = clamp((params.past_texel - at) / reach + 0.5, vec2(0.0), vec2(1.0));
    // Both ends can be within one pixel.
    let both = max(begin + end - 1.0, vec2(0.0));
    return both.x * both.y;
}

@compute @workgroup_size(8, 8)
fn overlay(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= params.area.block_count) {
        return;
    }
    let block = params.area.first_block + id.xy;
    let corner = vec2<f32>(block * vec2(4u, 2u)) - params.origin_px;
    let top = array(pixel(corner, 0.0, 0.0), pixel(corner, 1.0, 0.0), pixel(corner, 2.0, 0.0), pixel(corner, 3.0, 0.0));
    let low = array(pixel(corner, 0.0, 1.0), pixel(corner, 1.0, 1.0), pixel(corner, 2.0, 1.0), pixel(corner, 3.0, 1.0));

    let words = words_of(params.area, block);
    let mask = mask_of(params.area, block);
    let top_y = vec4(dot(TO_Y, top[0]), dot(TO_Y, top[1]), dot(TO_Y, top[2]), dot(TO_Y, top[3]));
    let low_y = vec4(dot(TO_Y, low[0]), dot(TO_Y, low[1]), dot(TO_Y, low[2]), dot(TO_Y, low[3]));
    let top_a = vec4(top[0].a, top[1].a, top[2].a, top[3].a);
    let low_a = vec4(low[0].a, low[1].a, low[2].a, low[3].a);
    put(words.x, pack_codes(top_y + (1.0 - top_a) * unpack_codes(canvas[words.x])), mask);
    put(words.y, pack_codes(low_y + (1.0 - low_a) * unpack_codes(canvas[words.y])), mask);

    let left = 0.25 * (top[0] + top[1] + low[0] + low[1]);
    let right = 0.25 * (top[2] + top[3] + low[2] + low[3]);
    let uv = vec4(dot(TO_U, left), dot(TO_V, left), dot(TO_U, right), dot(TO_V, right));
    let uv_a = vec4(left.aa, right.aa);
    put(words.z, pack_codes(uv + (1.0 - uv_a) * unpack_codes(canvas[words.z])), mask);
}
