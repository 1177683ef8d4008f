"""Creates the bucket the tests write to, and proves with one object that the server stores and returns."""

import os
import sys

import boto3
from botocore.config import Config

endpoint, access_key, secret_key, bucket = sys.argv[1:]
s3 = boto3.client(
    "s3",
    endpoint_url=endpoint,
    aws_access_key_id=access_key,
    aws_secret_access_key=secret_key,
    region_name="us-east-1",
    config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, proxies={}),
)
s3.create_bucket(Bucket=bucket)
body = os.urandom(1000)
s3.put_object(Bucket=bucket, Key="first", Body=body)
if s3.get_object(Bucket=bucket, Key="first")["Body"].read() != body:
    sys.exit("the server returned something else than was put")
s3.delete_object(Bucket=bucket, Key="first")
