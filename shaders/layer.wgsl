// One opaque layer: a decoded 4:2:0 picture scaled into its rectangle. Needs canvas.wgsl and sample.wgsl.
//
// Chroma is sited left: a chroma sample lies on the left luma column of its pair, half-way between the two rows.

struct LayerParams {
    area: Area,
    // Top left of the layer on the canvas; may be negative.
    rect_origin_px: vec2<i32>,
    source_per_canvas: vec2<f32>,
    // Rows of the matrix from the source's (Y, U, V, 1) code values to the canvas'.
    to_y: vec4<f32>,
    to_u: vec4<f32>,
    to_v: vec4<f32>,
}

var<immediate> params: LayerParams;

@group(1) @binding(0) var source_y: texture_2d<f32>;
// U alone or U and V interleaved; source_v is then the same texture.
@group(1) @binding(1) var source_u: texture_2d<f32>;
@group(1) @binding(2) var source_v: texture_2d<f32>;

// Whether U and V are planes of their own.
override PLANAR: bool;
// Whether the source's colour differs from the canvas'.
override CONVERT: bool;

// From a position in luma samples to the same place in chroma samples.
fn chroma_from_luma(at: vec2<f32>) -> vec2<f32> {
    return vec2(0.5 * at.x + 0.25, 0.5 * at.y);
}

fn chroma_at(at: vec2<f32>) -> vec2<f32> {
    if PLANAR {
        return 255.0 * vec2(
            sample(source_u, at, params.source_per_canvas).r,
            sample(source_v, at, params.source_per_canvas).r,
        );
    }
    return 255.0 * sample(source_u, at, params.source_per_canvas).rg;
}

// Chroma under a luma sample, which lies between chroma samples even where the layer is not scaled.
fn chroma_under(at: vec2<f32>) -> vec2<f32> {
    if FILTER == AREA {
        return chroma_at(at);
    }
    if PLANAR {
        return 255.0 * vec2(bilinear(source_u, at).r, bilinear(source_v, at).r);
    }
    return 255.0 * bilinear(source_u, at).rg;
}

fn luma_at(at: vec2<f32>) -> f32 {
    let y = 255.0 * sample(source_y, at, params.source_per_canvas).r;
    if CONVERT {
        return dot(params.to_y, vec4(y, chroma_under(chroma_from_luma(at)), 1.0));
    }
    return y;
}

fn luma_row(corner: vec2<f32>) -> vec4<f32> {
    let s = params.source_per_canvas;
    let y = (corner.y + 0.5) * s.y;
    return vec4(
        luma_at(vec2((corner.x + 0.5) * s.x, y)),
        luma_at(vec2((corner.x + 1.5) * s.x, y)),
        luma_at(vec2((corner.x + 2.5) * s.x, y)),
        luma_at(vec2((corner.x + 3.5) * s.x, y)),
    );
}

fn chroma_pair(corner: vec2<f32>) -> vec2<f32> {
    let at = (corner + vec2(0.5, 1.0)) * params.source_per_canvas;
    let uv = chroma_at(chroma_from_luma(at));
    if CONVERT {
        // Chroma does not depend on luma, whatever the matrix: grey stays grey.
        let code = vec4(0.0, uv, 1.0);
        return vec2(dot(params.to_u, code), dot(params.to_v, code));
    }
    return uv;
}

@compute @workgroup_size(8, 8)
fn layer(@builtin(global_invocation_id) id: vec3<u32>) {
    if any(id.xy >= params.area.block_count) {
        return;
    }
    let block = params.area.first_block + id.xy;
    let corner = vec2<f32>(vec2<i32>(block * vec2(4u, 2u)) - params.rect_origin_px);
    let words = words_of(params.area, block);
    let mask = mask_of(params.area, block);
    put(words.x, pack_codes(luma_row(corner)), mask);
    put(words.y, pack_codes(luma_row(corner + vec2(0.0, 1.0))), mask);
    let chroma = vec4(chroma_pair(corner), chroma_pair(corner + vec2(2.0, 0.0)));
    put(words.z, pack_codes(chroma), mask);
}
