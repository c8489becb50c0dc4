//! Every WGSL file is valid and in use, and the Rust twins of its parameters lie in memory as it says.

use std::mem::{offset_of, size_of};

use naga::proc::Layouter;
use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::*;
use crate::gpu::layers::LayerParams;

const PROGRAMS: [&str; 6] = ["fill", "layer", "overlay", "blend", "scale", "luma_source"];

fn parse(name: &str) -> naga::Module {
    let source = program(name).unwrap();
    naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|e| panic!("{}", e.emit_to_string(&source)))
}

#[test]
fn programs_are_valid() {
    for name in PROGRAMS {
        let mut validator = Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES);
        validator.validate(&parse(name)).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    }
}

#[test]
fn every_file_is_part_of_a_program() {
    let programs = PROGRAMS.map(|name| program(name).unwrap());
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(programs.iter().any(|program| program.contains(&text)), "{path:?}");
    }
}

#[track_caller]
fn check(module: &naga::Module, name: &str, size: usize, members: &[(&str, usize)]) {
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let (handle, ty) =
        module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).unwrap();
    assert_eq!(layouter[handle].to_stride() as usize, size, "{name}");
    let naga::TypeInner::Struct { members: in_wgsl, .. } = &ty.inner else { panic!("{name}") };
    let in_wgsl: Vec<_> =
        in_wgsl.iter().map(|m| (m.name.as_deref().unwrap(), m.offset as usize)).collect();
    assert_eq!(in_wgsl, members, "{name}");
    assert!(size <= IMMEDIATE_BYTES as usize, "{name}");
}

#[test]
fn parameters_lie_as_their_twins_say() {
    let area = [
        ("row_words", offset_of!(Area, row_words)),
        ("chroma_word", offset_of!(Area, chroma_word)),
        ("first_block", offset_of!(Area, first_block)),
        ("block_count", offset_of!(Area, block_count)),
        ("columns_px", offset_of!(Area, columns_px)),
    ];
    for name in PROGRAMS {
        check(&parse(name), "Area", size_of::<Area>(), &area);
    }
    let members = [
        ("area", offset_of!(FillParams, area)),
        ("luma_word", offset_of!(FillParams, luma_word)),
        ("chroma_word", offset_of!(FillParams, chroma_word)),
    ];
    check(&parse("fill"), "FillParams", size_of::<FillParams>(), &members);
    let members = [
        ("area", offset_of!(BlendParams, area)),
        ("size_px", offset_of!(BlendParams, size_px)),
        ("first_from", offset_of!(BlendParams, first_from)),
        ("second_from", offset_of!(BlendParams, second_from)),
        ("weight", offset_of!(BlendParams, weight)),
        ("gap", offset_of!(BlendParams, gap)),
        ("veil", offset_of!(BlendParams, veil)),
    ];
    check(&parse("blend"), "BlendParams", size_of::<BlendParams>(), &members);
    let members = [
        ("area", offset_of!(ScaleParams, area)),
        ("whole_size_px", offset_of!(ScaleParams, whole_size_px)),
        ("whole_row_words", offset_of!(ScaleParams, whole_row_words)),
        ("whole_chroma_word", offset_of!(ScaleParams, whole_chroma_word)),
        ("whole_per_pixel", offset_of!(ScaleParams, whole_per_pixel)),
    ];
    check(&parse("scale"), "ScaleParams", size_of::<ScaleParams>(), &members);
    let members = [
        ("size_px", offset_of!(LumaParams, size_px)),
        ("first_word", offset_of!(LumaParams, first_word)),
        ("row_words", offset_of!(LumaParams, row_words)),
        ("full", offset_of!(LumaParams, full)),
    ];
    check(&parse("luma_source"), "LumaParams", size_of::<LumaParams>(), &members);
    let members = [
        ("area", offset_of!(LayerParams, area)),
        ("source_from_x", offset_of!(LayerParams, source_from_x)),
        ("source_from_y", offset_of!(LayerParams, source_from_y)),
        ("source_origin", offset_of!(LayerParams, source_origin)),
        ("chroma_origin", offset_of!(LayerParams, chroma_origin)),
        ("to_y", offset_of!(LayerParams, to_y)),
        ("uv_from_u", offset_of!(LayerParams, uv_from_u)),
        ("uv_from_v", offset_of!(LayerParams, uv_from_v)),
        ("window_begin", offset_of!(LayerParams, window_begin)),
        ("window_end", offset_of!(LayerParams, window_end)),
        ("corner_radius_px", offset_of!(LayerParams, corner_radius_px)),
        ("border_px", offset_of!(LayerParams, border_px)),
        ("opacity", offset_of!(LayerParams, opacity)),
        ("border_code", offset_of!(LayerParams, border_code)),
    ];
    check(&parse("layer"), "LayerParams", size_of::<LayerParams>(), &members);
    let members = [
        ("area", offset_of!(OverlayParams, area)),
        ("origin_px", offset_of!(OverlayParams, origin_px)),
        ("texels_per_pixel", offset_of!(OverlayParams, texels_per_pixel)),
        ("first_texel", offset_of!(OverlayParams, first_texel)),
        ("past_texel", offset_of!(OverlayParams, past_texel)),
        ("opacity", offset_of!(OverlayParams, opacity)),
    ];
    check(&parse("overlay"), "OverlayParams", size_of::<OverlayParams>(), &members);
}
