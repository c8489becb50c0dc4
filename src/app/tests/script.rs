//! Scripts: the example of the documentation, and what is refused.

use super::*;
use crate::picture::TextBox;

const EXAMPLE: &str = include_str!("../../../docs/render.md");

fn example() -> String {
    let (_, rest) = EXAMPLE.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

fn parsed(text: &str) -> Result<Script, String> {
    let script: Script = toml::from_str(text).map_err(|error| error.to_string())?;
    script.check().map(|()| script)
}

#[test]
fn the_example_of_the_documentation_is_a_script() {
    let script = parsed(&example()).unwrap();
    let [guest, pair] = &script.layouts[..] else { panic!() };
    assert_eq!(guest.backdrop.color, 0x10_20_30);
    assert_eq!(guest.backdrop.image.as_deref(), Some(Path::new("sky.jpg")));
    let placed = guest.placed().unwrap();
    assert_eq!(placed[0].2, picture::Look::default());
    let look = placed[1].2;
    assert_eq!((look.opacity, look.corner_radius), (0.9, 0.03));
    assert!(look.mirror.horizontal && !look.mirror.vertical);
    assert_eq!(look.border, Some(picture::Border { width: 0.005, rgb: 0xff_ffff }));
    let text = script.components[0].text_spec().unwrap().unwrap();
    let dark = TextBox { rgb: 0, opacity: 0.6, padding: 0.25 };
    assert_eq!(text.background, Some(dark));
    let placed = pair.placed().unwrap();
    let boxes: Vec<_> = placed.iter().map(|(source, p, _)| (*source, p.x, p.width)).collect();
    assert_eq!(boxes, [("RV03", 0.0, 0.5), ("RV02", 0.5, 0.5)]);
}

#[test]
fn what_is_wrong_is_named() {
    let example = example();
    for (right, wrong, names) in [
        ("opacity = 0.9", "opacity = 1.9", "opacity is 1.9, it can be 0 to 1"),
        ("opacity = 0.9", "opacity = nan", "opacity"),
        ("crop = [0.1, 0.0, 0.1, 0.0]", "crop = [0.9, 0.0, 0.1, 0.0]", "crop right is 0.1"),
        ("\"horizontal\"", "\"sideways\"", "mirror \"sideways\""),
        ("corner_radius = 0.03", "corner_radius = 1", "layout guest: corner_radius is 1"),
        ("border_width = 0.005", "border_width = -1", "border_width is -1"),
        ("border_width", "border", "unknown field `border`"),
        ("\"side_by_side\"", "\"quad\"", "layout pair: its preset shows 4 sources, it has 2"),
        ("\"side_by_side\"", "\"mosaic\"", "\"mosaic\" is not one of single, "),
        (
            "effect = \"none\"",
            "effect = \"blink\"",
            "component title: effect \"blink\" is not none",
        ),
        ("padding = 0.25", "padding = 5", "component title: background padding is 5"),
        ("source = \"RV03\"\n", "source = \"RV03\"\nplace = {}\n", "its preset says where"),
    ] {
        assert!(example.contains(right), "{right}");
        let error = parsed(&example.replace(right, wrong)).expect_err(wrong);
        assert!(error.contains(names), "{wrong}: {error}");
    }
}
