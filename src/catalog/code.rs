//! The error codes of the API: one table of code, HTTP status and usual message.
//!
//! Must not know calls. Invariant: every code that any edge answers with stands here, once; a contract test
//! provokes each of them.

use std::fmt;

macro_rules! codes {
    ($($name:ident $http:literal $text:literal $message:literal)*) => {
        /// Why a call was refused, as the API names it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $text, "`: ", $message)] $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The API's name of it.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }

            /// The HTTP status that it goes with.
            pub fn http_status(self) -> u16 {
                match self { $(ErrorCode::$name => $http,)* }
            }

            /// What is said when there is nothing more precise to say.
            pub fn message(self) -> &'static str {
                match self { $(ErrorCode::$name => $message,)* }
            }
        }
    };
}

codes! {
    CasterNotFound 404 "InvalidCaster.NotFound" "Caster is not found."
    SceneNotFound 404 "InvalidScene.NotFound" "Scene is not found."
    LayoutNotFound 404 "InvalidLayout.NotFound" "Layout is not found."
    ResourceNotFound 404 "InvalidResource.NotFound" "Resource is not found."
    ComponentNotFound 404 "InvalidComponent.NotFound" "Component is not found."
    EpisodeNotFound 404 "InvalidEpisode.NotFound" "Episode is not found."
    ProgramNotFound 404 "InvalidProgram.NotFound" "Program is not found."
    UrgentMaterialNotFound 404 "UrgentMaterialNotFound" "Urgent material is not found"
    DomainNameNotFound 404 "InvalidDomainName.NotFound" "DomainName is not configured."
    ConfigurationNotFound 404 "InvalidConfiguration.NotFound" "transcode is not configured."
    CasterIdMalformed 400 "InvalidCasterId.Malformed" "CasterId is mandatory for this action."
    SceneIdMalformed 400 "InvalidSceneId.Malformed" "SceneId is mandatory for this action."
    ResourceIdMalformed 400 "InvalidResourceId.Malformed" "ResourceId is mandatory for this action."
    SceneNotStarted 400 "IncorrectSceneStatus" "Scene is not started."
    SceneInUse 400 "IncorrectSceneStatus.Inuse" "A scene on air uses it."
    SceneConfigError 400 "IncorrectSceneStatus.ConfigError" "Last set/update scene config error"
    CasterIdle 400 "IncorrectCasterStatus.Idle" "Caster is not started."
    CasterInUse 400 "IncorrectCasterStatus.Inuse" "Caster is in use"
    CasterNumberExceed 400 "CasterNumberExceed" "The number casters is exceeded"
    ResourceNumberExceed 400 "ResourceNumberExceed" "Number of resource exceeded InputTotal"
    DuplicateLocationId 400 "DuplicateLocationID" "LocationId is duplicate."
    ResourceOfChannelExist 400 "ResourceOfChannelExist" "Resource has been set to channel already"
    ChannelDisabled 400 "IncorrectChannel.Disable" "Channels are not enabled: set ChannelEnable to 1."
    ChannelDisableUnsupported 400 "InvalidCaster.ChannelDisableUnsupported" "Channels cannot be disabled once they are enabled."
    RevisionMismatch 409 "IncorrectCasterRevision" "The caster was changed since."
    MissingParameter 400 "MissingParameter" "A parameter is mandatory for this action"
    ParameterMalformed 400 "InvalidParameter.Malformed" "Specified parameter is invalid."
    NormTypeMalformed 400 "InvalidNormType.Malformed" "Specified parameter NormType is invalid"
    ChargeTypeMalformed 400 "InvalidChargeType.Malformed" "Specified parameter ChargeType is invalid"
    LiveStreamUrlMalformed 400 "InvalidLiveStreamUrl.Malformed" "Specified parameter LiveStreamUrl is invalid."
    MaterialIdMalformed 400 "InvalidMaterialId.Malformed" "Specified parameter MaterialId is invalid."
    VideoLayersMismatch 400 "InvalidVideoLayersAndBlendListSize.Mismatch" "Specified parameter VideoLayers and BlendList size is invalid."
    AudioLayersMismatch 400 "InvalidAudioLayersAndMixListSize.Mismatch" "Specified parameter AudioLayers and MixList size is invalid."
    PositionMalformed 400 "InvalidPositionNormalized.Malformed" "Specified parameter PositionNormalized size should be 2 is invalid."
    PageSizeMalformed 400 "InvalidPageSize.Malformed" "Specified parameter PageSize is invalid"
    PageNumMalformed 400 "InvalidPageNum.Malformed" "Specified parameter PageNum is invalid"
    StartTimeMalformed 400 "InvalidStartTime.Malformed" "Specified parameter StartTime is invalid"
    EndTimeMalformed 400 "InvalidEndTime.Malformed" "Specified parameter EndTime is invalid"
    EpisodeTooLong 400 "InvalidParameter.EndTime" "The episode is longer than its file."
    StatusMalformed 400 "InvalidStatus.Malformed" "Specified parameter Status is invalid, only can be 0 or 1."
    AccessKeyIdMissing 400 "MissingAccessKeyId" "AccessKeyId is mandatory for this action."
    AccessKeyIdNotFound 404 "InvalidAccessKeyId.NotFound" "Specified access key is not found."
    AccessKeyIdInactive 400 "InvalidAccessKeyId.Inactive" "Specified access key is disabled."
    IllegalOperation 401 "IllegalOperation" "Permission Denied"
    PermissionDenied 401 "PermissionDenied" "Permission Denied"
    ApiNotFound 404 "InvalidApi.NotFound" "Specified api is not found, please check your url and method."
    ShowListNotFound 404 "InvalidShowList.NotFound" "Show lists are of NormType 6; this server has general mode (NormType 1) only."
    VersionInvalid 400 "InvalidVersion" "Specified parameter Version is not valid."
    HttpMethodUnsupported 400 "UnsupportedHTTPMethod" "This http method is not supported."
    FormatInvalid 400 "InvalidParameter.Format" "Specified parameter format is not valid."
    TimeStampFormat 400 "InvalidTimeStamp.Format" "Specified time stamp or date value is not well formatted."
    TimeStampExpired 400 "InvalidTimeStamp.Expired" "Specified time stamp or date value is expired."
    SignatureNonceUsed 400 "SignatureNonceUsed" "Specified signature nonce was used already."
    SignatureDoesNotMatch 400 "SignatureDoesNotMatch" "Specified signature is not matched with our calculation. server string to sign is:"
    SignatureMethodInvalid 400 "InvalidSignatureMethod" "Specified signature method is not valid."
    IncompleteSignature 400 "IncompleteSignature" "The request signature does not conform to the standard."
    ThrottlingUser 400 "Throttling.User" "Request was denied due to user flow control."
    RequestTimeout 408 "RequestTimeout" "The request did not arrive in time."
    RequestTooLarge 413 "RequestTooLarge" "The request is too large."
    Internal 500 "InternalError" "The request processing has failed due to some unknown error, exception or failure."
}

impl ErrorCode {
    /// Whether only the cloud API's own wire can give it: its gateway's codes.
    pub fn is_of_the_wire(self) -> bool {
        (ErrorCode::ApiNotFound..=ErrorCode::RequestTooLarge).contains(&self)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A call was refused; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refused {
    /// Which rule.
    pub code: ErrorCode,
    /// In words, for the person who made the call.
    pub message: String,
}

impl Refused {
    /// Refused for `code`, told as `message`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Refused {
        Refused { code, message: message.into() }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Refused {
        Refused::new(code, code.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_follow_the_suffix_grammar() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            let text = code.as_str();
            assert!(ErrorCode::ALL[..index].iter().all(|c| c.as_str() != text), "{text}");
            let http = match text {
                _ if text.ends_with(".NotFound") => 404,
                "UrgentMaterialNotFound" => 404,
                "IncorrectCasterRevision" => 409,
                "InternalError" => 500,
                "IllegalOperation" | "PermissionDenied" => 401,
                "RequestTimeout" => 408,
                "RequestTooLarge" => 413,
                _ => 400,
            };
            assert_eq!(code.http_status(), http, "{text}");
        }
    }
}
