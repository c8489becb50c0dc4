//! Operations of the API that are of other modes than the general one: known by name, refused with the API's own code.
//!
//! Must not know rules. Invariant: they are refused as late as a call of another operation would be, so that nobody who
//! has no key learns of them.

use super::answers;
use super::fault::Fault;
use super::operations::Operation;
use super::params::Params;
use crate::catalog::{Call, ErrorCode};

/// `refusal Code "message" { Name… }`: a function that refuses, and the operations that it is for.
macro_rules! outside {
    ($($refusal:ident $code:ident $message:literal { $($name:ident)* })*) => {
        $(
            fn $refusal(_: &Params) -> Result<Call, Fault> {
                let message = concat!($message, " This server runs general mode (NormType 1) only.");
                Err(Fault::new(ErrorCode::$code, message))
            }
        )*

        /// Every one of them.
        pub(super) const OPERATIONS: &[Operation] = &[
            $($(Operation {
                name: stringify!($name),
                qps: QPS,
                required: &[],
                call: $refusal,
                render: answers::nothing,
            },)*)*
        ];
    };
}

/// Calls per second of each.
const QPS: u32 = 10;

outside! {
    show_list ShowListNotFound "Show lists are of NormType 6." {
        AddShowIntoShowList DescribeShowList ModifyShowList RemoveShowFromShowList PlayChoosenShow
        SetShowListBackground InitializeAutoShowListTask DescribeAutoShowListTasks EditShowAndReplace
        GetEditingJobInfo
    }
    light_carousel NormTypeMalformed "Playlists are of NormType 3." {
        AddPlaylistItems EditPlaylist DeletePlaylist DeletePlaylistItems ListPlaylist ListPlaylistItems
        StartPlaylist StopPlaylist
    }
    virtual_studio CasterNotFound "Studio layouts are of NormType 4." {
        AddStudioLayout ModifyStudioLayout DeleteStudioLayout DescribeStudioLayouts
    }
    tags ApiNotFound "Tags are given with CreateCaster and told by DescribeCasters." {
        TagLiveResources UnTagLiveResources ListLiveTagResources DescribeLiveTagResources
    }
}
