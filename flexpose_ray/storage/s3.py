"""Storage in S3-compatible buckets."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import TypeVar
from urllib.parse import urlsplit

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    SSLError,
)
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError
from botocore.session import Session as BotocoreSession
from tenacity import Retrying, retry_if_exception, stop_before_delay, wait_exponential, wait_random_exponential

from flexpose_ray.errors import StorageError
from flexpose_ray.storage.base import MissingKeyError, Store, checked_key

T = TypeVar("T")
CONNECT_S, READ_S = 5.0, 30.0  # after which a silent server counts as away
CONNECTIONS = 32  # kept open; more threads share them
TRANSIENT_CODES = {"OperationAborted", "RequestTimeout", "SlowDown", "Throttling", "ThrottlingException"}
CREDENTIAL_CODES = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
# Pauses between attempts, in seconds: twice as long each time, the upper half of each at random, because many actors
# must not come back at the same moment.
PAUSES = wait_exponential(0.1, max=2.5) + wait_random_exponential(0.1, max=2.5)
MAKING_CLIENT = threading.Lock()


class S3Store(Store):
    """A bucket and a prefix. Endpoint from ``AWS_ENDPOINT_URL``, credentials from the standard chain.

    Every object is one PUT: not all servers support the conditional completion of a multipart upload, and up to 128 MB,
    far more than a shard, parallel parts were slower than a single PUT.
    """

    def __init__(self, bucket: str, prefix: str, patience_s: float):
        self.bucket, self.prefix, self.patience_s = bucket, f"{prefix}/" if prefix else "", patience_s
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")
        self._client_of: tuple[int, object] | None = None

    def __getstate__(self):
        return {**self.__dict__, "_client_of": None}  # a client is neither picklable nor safe across a fork

    @property
    def client(self):
        """The boto3 client of this process."""
        with MAKING_CLIENT:
            if self._client_of is None or self._client_of[0] != os.getpid():
                self._client_of = os.getpid(), self._make_client()
            return self._client_of[1]

    def _make_client(self):
        # Only _call retries: botocore retries neither a 409 nor a body that breaks off. Some servers refuse the
        # checksums of newer clients; shards are checked by their sha256 anyway.
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            max_pool_connections=CONNECTIONS,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if endpoint else None,
        )
        try:
            # Credentials are looked up anew, but what botocore knows of S3 takes a quarter of a second to parse.
            session = BotocoreSession()
            session.register_component("data_loader", _descriptions())
            return Session(botocore_session=session).client("s3", config=config)
        except ValueError:  # botocore's text repeats the endpoint, which may hold a password
            raise StorageError(
                self.uri, "AWS_ENDPOINT_URL is not a valid URL", "write it as http://host:port"
            ) from None

    def get(self, key: str) -> bytes:
        return self._call(key, lambda at: self.client.get_object(**at)["Body"].read())

    def put(self, key: str, data: bytes) -> None:
        self._call(key, lambda at: self.client.put_object(**at, Body=data))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        def attempt(at: dict) -> bool:
            try:
                self.client.put_object(**at, Body=data, IfNoneMatch="*")
            except ClientError as error:
                if _status(error) == 412:
                    return False
                if _status(error) == 501:
                    problem = "the server has no conditional writes (If-None-Match: *)"
                    raise StorageError(self.uri, problem, "use a server with conditional writes, or a folder") from None
                raise
            return True

        return self._call(key, attempt)

    def exists(self, key: str) -> bool:
        # Not a HEAD: its 404 has no body that tells a missing key from a missing bucket.
        at = {"Bucket": self.bucket, "Prefix": self._full(key), "MaxKeys": 1}
        found = self._call(key, lambda _: self.client.list_objects_v2(**at).get("Contents", []))
        return any(entry["Key"] == at["Prefix"] for entry in found)

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        at = {"Bucket": self.bucket, "Prefix": self.prefix + prefix}
        while True:  # each page is a call with its own patience
            page = self._call(None, lambda _: self.client.list_objects_v2(**at))
            yield from (entry["Key"][len(self.prefix) :] for entry in page.get("Contents", []))
            if not page.get("IsTruncated"):
                return
            at["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        self._call(key, lambda at: self.client.delete_object(**at))

    def child(self, prefix: str) -> S3Store:
        child = S3Store(self.bucket, self._full(prefix), self.patience_s)
        child._client_of = self._client_of  # making a client takes longer than a call
        return child

    def _full(self, key: str) -> str:
        return self.prefix + checked_key(key, self.uri)

    def _call(self, key: str | None, attempt: Callable[[dict], T]) -> T:
        """Run ``attempt`` at ``key`` (None: the whole store) until it succeeds, fails for good, or patience ends."""
        at = {"Bucket": self.bucket, "Key": self.prefix if key is None else self._full(key)}
        give_up = stop_before_delay(self.patience_s)  # never pauses beyond it
        retrying = Retrying(retry=retry_if_exception(_transient), wait=PAUSES, stop=give_up, reraise=True)
        try:
            return retrying(attempt, at)
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise self._explain(error, f"s3://{at['Bucket']}/{at['Key']}") from error

    def _explain(self, error: ClientError | BotoCoreError | ResponseParserError, where: str) -> StorageError:
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            return StorageError(where, "no complete credentials found", hint)
        if not isinstance(error, ClientError):
            problem = f"no answer from {self._endpoint()} ({type(error).__name__})"
            return StorageError(where, problem, "start the server, or correct AWS_ENDPOINT_URL and the AWS settings")
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code == "NoSuchKey":
            return MissingKeyError(where, "is not there", "check the address, or make it first")
        if code == "NoSuchBucket":
            return StorageError(
                where, f"there is no bucket {self.bucket!r} at {self._endpoint()}", "make it, or correct the URI"
            )
        if code in CREDENTIAL_CODES:
            return StorageError(
                where, f"credentials refused ({code})", "correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY"
            )
        if _status(error) == 507 or code == "QuotaExceeded":
            return StorageError(where, "no space left", "free some space, then repeat the command: it continues")
        if _status(error) == 403:
            return StorageError(where, f"access denied ({code})", "use credentials that may list, read and write there")
        problem = " ".join(f"{self._endpoint()} answered {_status(error)} {code} {message}".split())
        return StorageError(where, problem, "look at the server's log, then repeat the command")

    def _endpoint(self) -> str:
        """The server's name for messages, without a password that the URL may hold."""
        return urlsplit(self.client.meta.endpoint_url).netloc.rpartition("@")[2]


@cache
def _descriptions() -> Loader:
    """What botocore knows of all services, read from its files once."""
    return BotocoreSession().get_component("data_loader")


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _transient(error: BaseException) -> bool:
    if isinstance(error, ClientError):
        status, code = _status(error), error.response["Error"].get("Code", "")
        return status in (409, 429) or (status >= 500 and status not in (501, 507)) or code in TRANSIENT_CODES
    passing = ConnectionError | HTTPClientError | IncompleteReadError | ResponseParserError  # the last: cut short
    return isinstance(error, passing) and not isinstance(error, SSLError)
