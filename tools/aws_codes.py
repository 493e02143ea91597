"""What AWS refuses, by meaning: error codes of its services, and names of botocore's exceptions.

What they are to those who asked is said where they are met: by a tool, or by the command that deploys.
"""

from __future__ import annotations

# Error codes. S3 answers what has no body, such as the answer to HEAD, with the status in place of a code.
DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationErrorException",
        "Forbidden",
        "UnauthorizedOperation",
        "403",
    }
)
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
UNKNOWN_KEY = frozenset(
    {
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
# Not LimitExceededException: for Logs Insights it is too many queries at once, for most others a quota that stays.
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "503",
    }
)
UNAVAILABLE = frozenset({"ServiceUnavailable", "ServiceUnavailableException"})

# Exceptions of botocore.
NO_CREDENTIALS = frozenset({"NoAuthTokenError", "NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"})
STALE_LOGIN = frozenset(
    {
        "CredentialRetrievalError",
        "LoginAuthorizationCodeError",
        "LoginError",
        "LoginInsufficientPermissions",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "MetadataRetrievalError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)
