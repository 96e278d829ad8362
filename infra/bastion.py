"""The bastion: the machine that query tools (pgAdmin, DBeaver) go through. It holds nothing."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.settings import NewNetwork

_SIZE = "t4g.nano"


class Bastion(Construct):
    """A small instance: public and reached by SSH, or private and reached by a session of Systems Manager."""

    def __init__(
        self, scope: Construct, id: str, vpc: ec2.IVpc, network: NewNetwork, private: list[ec2.ISubnet]
    ) -> None:
        super().__init__(scope, id)
        self.is_public = network.bastion == "ssh"
        self.group = ec2.SecurityGroup(
            self, "Group", vpc=vpc, description="pgevents: bastion", allow_all_outbound=True
        )
        self.instance = ec2.Instance(
            self,
            "Instance",
            vpc=vpc,
            vpc_subnets=_public() if self.is_public else ec2.SubnetSelection(subnets=private),
            associate_public_ip_address=self.is_public,
            instance_type=ec2.InstanceType(_SIZE),
            machine_image=ec2.MachineImage.latest_amazon_linux2023(cpu_type=ec2.AmazonLinuxCpuType.ARM_64),
            security_group=self.group,
            role=self._role(),
            key_pair=self._key(network.ssh_key_name),
            require_imdsv2=True,
            detailed_monitoring=True,
            block_devices=[
                ec2.BlockDevice(device_name="/dev/xvda", volume=ec2.BlockDeviceVolume.ebs(8, encrypted=True))
            ],
        )
        acknowledge(self.instance, {"EC29": "It holds nothing and is replaced with every new image."})

    def _role(self) -> iam.Role:
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        if not self.is_public:
            role.add_managed_policy(
                iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore")
            )
            policy = "IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/AmazonSSMManagedInstanceCore]"
            acknowledge(role, {policy: "AWS's own for an instance that sessions are opened on."})
        return role

    def _key(self, name: str) -> ec2.IKeyPair | None:
        return ec2.KeyPair.from_key_pair_name(self, "Key", name) if self.is_public and name else None


def _public() -> ec2.SubnetSelection:
    return ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
