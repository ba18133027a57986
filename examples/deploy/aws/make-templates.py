#!/usr/bin/env python3
"""Writes kepler-k3s-stack.yaml (an instance to be set up by SSH) and kepler-k3s-automated-stack.yaml (the same, which sets
itself up) from one text, so that they cannot differ in what they share."""

from pathlib import Path

HERE = Path(__file__).parent

TEMPLATE = """\
# Made by make-templates.py.
AWSTemplateFormatVersion: "2010-09-09"
Description: {description}

Parameters:
  KeyName:
    Type: AWS::EC2::KeyPair::KeyName
    Description: Key pair for SSH
  AllowedCidr:
    Type: String
    Description: Who may reach SSH and the metrics
    AllowedPattern: ^([0-9]{{1,3}}\\.){{3}}[0-9]{{1,3}}/([1-9]|[12][0-9]|3[0-2])$
    ConstraintDescription: an address and a length from 1 to 32, such as 203.0.113.7/32
  InstanceType:
    Type: String
    Default: c5.metal
    Description: Bare metal has meters (RAPL); on others power is estimated
  VolumeSize:
    Type: Number
    Default: 50
    MinValue: 20
    MaxValue: 1000
  ImageId:
    Type: AWS::EC2::Image::Id
    Description: An Ubuntu image; another one makes another instance
{parameters}
Resources:
  Network:
    Type: AWS::EC2::VPC
    Properties:
      CidrBlock: 10.20.0.0/16
      EnableDnsHostnames: true
      Tags: [{{Key: project, Value: kepler}}]
  Gateway:
    Type: AWS::EC2::InternetGateway
  GatewayAttachment:
    Type: AWS::EC2::VPCGatewayAttachment
    Properties:
      VpcId: !Ref Network
      InternetGatewayId: !Ref Gateway
  Subnet:
    Type: AWS::EC2::Subnet
    Properties:
      VpcId: !Ref Network
      CidrBlock: 10.20.1.0/24
      Tags: [{{Key: project, Value: kepler}}]
  Routes:
    Type: AWS::EC2::RouteTable
    Properties:
      VpcId: !Ref Network
  DefaultRoute:
    Type: AWS::EC2::Route
    DependsOn: GatewayAttachment
    Properties:
      RouteTableId: !Ref Routes
      DestinationCidrBlock: 0.0.0.0/0
      GatewayId: !Ref Gateway
  SubnetRoutes:
    Type: AWS::EC2::SubnetRouteTableAssociation
    Properties:
      SubnetId: !Ref Subnet
      RouteTableId: !Ref Routes
  Firewall:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: SSH and the metrics, from one network
      VpcId: !Ref Network
      SecurityGroupIngress:
        - {{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: !Ref AllowedCidr, Description: SSH}}
        - {{IpProtocol: tcp, FromPort: 30443, ToPort: 30443, CidrIp: !Ref AllowedCidr, Description: metrics over TLS}}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {{Service: ec2.amazonaws.com}}
            Action: sts:AssumeRole
      ManagedPolicyArns:
        - !Sub arn:${{AWS::Partition}}:iam::aws:policy/CloudWatchAgentServerPolicy
        - !Sub arn:${{AWS::Partition}}:iam::aws:policy/AmazonSSMManagedInstanceCore
{policies}  Profile:
    Type: AWS::IAM::InstanceProfile
    Properties:
      Roles: [!Ref Role]
  Instance:
    Type: AWS::EC2::Instance
    DependsOn: [DefaultRoute, SubnetRoutes]
    Properties:
      ImageId: !Ref ImageId
      InstanceType: !Ref InstanceType
      KeyName: !Ref KeyName
      SubnetId: !Ref Subnet
      SecurityGroupIds: [!Ref Firewall]
      IamInstanceProfile: !Ref Profile
      # IMDSv2 alone; one hop more for pods would hand them the instance's rights
      MetadataOptions: {{HttpTokens: required, HttpPutResponseHopLimit: 1}}
      BlockDeviceMappings:
        - DeviceName: /dev/sda1
          Ebs: {{VolumeType: gp3, VolumeSize: !Ref VolumeSize, Encrypted: true, DeleteOnTermination: true}}
{user_data}      Tags:
        - {{Key: Name, Value: !Ref AWS::StackName}}
        - {{Key: project, Value: kepler}}
  Address:
    Type: AWS::EC2::EIP
    DependsOn: GatewayAttachment
    Properties:
      Domain: vpc
      InstanceId: !Ref Instance
      Tags: [{{Key: project, Value: kepler}}]
{more}
Outputs:
  InstanceId:
    Value: !Ref Instance
  PublicIp:
    Value: !Ref Address
  KeyName:
    Value: !Ref KeyName
  MetricsUrl:
    Value: !Sub https://${{Address}}:30443/metrics
"""

PARAMETERS = """\
  AssetsBucket:
    Type: String
    Description: Bucket that holds kepler.tgz, install-kepler.sh and perhaps images/*.tar, under the stack's name
  Registry:
    Type: String
    Default: ""
    Description: Where the images are pulled from, where they are not in the bucket
"""
POLICIES = """\
      Policies:
        - PolicyName: assets
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: s3:GetObject
                Resource: !Sub arn:${AWS::Partition}:s3:::${AssetsBucket}/${AWS::StackName}/*
              - Effect: Allow
                Action: s3:ListBucket
                Resource: !Sub arn:${AWS::Partition}:s3:::${AssetsBucket}
"""
USER_DATA = """\
      UserData:
        Fn::Base64: !Sub |
          #!/bin/bash
          set -euo pipefail
          exec > >(tee -a /var/log/user-data.log) 2>&1
          told() {
            curl -fsS -X PUT -H 'Content-Type:' --retry 5 --data-binary \\
              "{\\"Status\\":\\"$1\\",\\"UniqueId\\":\\"setup\\",\\"Data\\":\\"done\\",\\"Reason\\":\\"$2\\"}" '${Done}'
          }
          # The instance goes when the stack is rolled back, so its last words are told.
          failed() {
            told FAILURE "$(tail -n 3 /var/log/user-data.log | tr -dc '[:alnum:][:space:]._:/=-' | tr '\\n' ' ' | tail -c 800)"
          }
          trap failed ERR
          # The address, and with it the way out, comes after the instance
          until curl -fsS -o /dev/null --max-time 5 https://get.k3s.io; do sleep 5; done
          snap install aws-cli --classic
          mkdir -p /opt/kepler
          /snap/bin/aws s3 sync 's3://${AssetsBucket}/${AWS::StackName}/' /opt/kepler/ --region '${AWS::Region}' --only-show-errors
          REGISTRY='${Registry}' bash /opt/kepler/install-kepler.sh
          told SUCCESS 'K3s and the chart are installed'
"""
MORE = """\
  Done:
    Type: AWS::CloudFormation::WaitConditionHandle
  Ready:
    Type: AWS::CloudFormation::WaitCondition
    DependsOn: Address
    Properties:
      Handle: !Ref Done
      Count: 1
      # Bare metal takes some ten minutes to start
      Timeout: "2700"
"""

if __name__ == "__main__":
    plain = {"parameters": "", "policies": "", "user_data": "", "more": ""}
    automated = {
        "parameters": PARAMETERS,
        "policies": POLICIES,
        "user_data": USER_DATA,
        "more": MORE,
    }
    for name, description, parts in [
        (
            "kepler-k3s-stack",
            "An instance for K3s and Kepler, to be set up by SSH",
            plain,
        ),
        (
            "kepler-k3s-automated-stack",
            "An instance that installs K3s and Kepler by itself",
            automated,
        ),
    ]:
        (HERE / f"{name}.yaml").write_text(TEMPLATE.format(description=description, **parts))
