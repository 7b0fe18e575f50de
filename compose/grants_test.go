package compose_test

import (
	"testing"

	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/compose"
)

// TestGrants renders services that ask for what commits have asked for, and one that asks
// for nothing.
func TestGrants(t *testing.T) {
	stack := mustRender(t, `
services:
  cron:
    image: coin/cron:1
    user: root
    volumes: ["/var/run/docker.sock:/var/run/docker.sock:ro"]
  evil:
    image: coin/evil:1
    cap_add: [ALL, CHOWN]
    networks: {host: {}, traefik: {aliases: [db]}}
    secrets: [theirs, own]
    configs: [shared]
    volumes:
      - "/:/host"
      - "their_data:/theirs"
      - "hidden:/hidden"
      - "named:/named"
  plain:
    image: coin/plain:1
    cap_drop: [ALL]
    cap_add: [NET_BIND_SERVICE]
    networks: [inner]
    ports: ["80:80"]
    volumes: ["data:/data"]
networks:
  host: {external: true, name: host}
  traefik: {external: true}
  inner: {}
secrets:
  theirs: {external: true}
  own: {external: true, name: their_own.2}
configs:
  shared: {external: true}
volumes:
  data: {}
  their_data: {external: true}
  named: {name: monitoring_data}
  hidden: {driver_opts: {type: none, o: "bind", device: /etc/../root}}
`)
	want := []compose.Grant{
		{Service: "shop_cron", What: "mount /var/run/docker.sock at /var/run/docker.sock (read-only)", Why: "controls the engine, also if it is read-only: can become root on the node"},
		{Service: "shop_evil", What: "capability ALL", Why: "can become root on the node"},
		{Service: "shop_evil", What: "external config shared", Why: "reads a config that the stack does not own"},
		{Service: "shop_evil", What: "external network traefik", Why: "reaches containers of others on it"},
		{Service: "shop_evil", What: "external secret their_own.2", Why: "reads a secret that the stack does not own"},
		{Service: "shop_evil", What: "external secret theirs", Why: "reads a secret that the stack does not own"},
		{Service: "shop_evil", What: "mount / at /host", Why: "controls the engine, also if it is read-only: can become root on the node"},
		{Service: "shop_evil", What: "name db on network traefik", Why: "receives what containers of others send to that name on it"},
		{Service: "shop_evil", What: "name evil on network traefik", Why: "receives what containers of others send to that name on it"},
		{Service: "shop_evil", What: "network host", Why: "uses the node's network interfaces and reaches its local services"},
		{Service: "shop_evil", What: "volume monitoring_data", Why: "shares its data with others"},
		{Service: "shop_evil", What: "volume shop_hidden of /etc/../root", Why: "a link on the node can lead its path anywhere: can become root on the node"},
		{Service: "shop_evil", What: "volume their_data", Why: "shares its data with others"},
	}
	if diff := cmp.Diff(want, compose.Grants(stack)); diff != "" {
		t.Error(diff)
	}
}

func TestGrantsOfMounts(t *testing.T) {
	const (
		engine   = "controls the engine, also if it is read-only: can become root on the node"
		root     = "writes files of the system: can become root on the node"
		reads    = "reads files of the system, with keys and secrets"
		writes   = "writes files of the node"
		readOnly = true
	)
	bind := func(source string, readOnly bool) mount.Mount {
		return mount.Mount{Type: mount.TypeBind, Source: source, Target: "/x", ReadOnly: readOnly}
	}
	local := func(options map[string]string) mount.Mount {
		return mount.Mount{Type: mount.TypeVolume, Source: "s_v", VolumeOptions: &mount.VolumeOptions{
			Labels: map[string]string{compose.LabelStack: "s"}, DriverConfig: &mount.Driver{Options: options},
		}}
	}
	for _, test := range []struct {
		name  string
		mount mount.Mount
		want  string
	}{
		{"root", bind("/", readOnly), engine},
		{"folder above the socket", bind("/run", readOnly), engine},
		{"link to it", bind("/var", readOnly), engine},
		{"its other name", bind("/var/run/", readOnly), engine},
		{"detour to it", bind("/srv/../run/./docker.sock", false), engine},
		{"containerd", bind("/run/containerd", false), engine},
		{"socket elsewhere", bind("/srv/docker.sock", false), engine},
		{"socket by its target", mount.Mount{Type: mount.TypeBind, Source: "/srv/s", Target: "/var/run/docker.sock"}, engine},
		{"other socket", bind("/srv/agent.sock", false), "talks to a process of the node"},
		{"link of a process", bind("/proc/1/root", readOnly), engine},
		{"keys", bind("/root/.ssh", readOnly), reads},
		{"cron", bind("/var/spool/cron", false), root},
		{"folder above system files", bind("/var/lib", false), root},
		{"device", bind("/dev/sda", readOnly), "uses a device of the node"},
		{"time zone", bind("/etc/localtime", readOnly), "reads files of the node"},
		{"time zone to write", bind("/etc/localtime", false), root},
		{"data", bind("/srv/data", false), writes},
		{"name like a system path", bind("/etcetera", false), writes},
		{"template", bind("/srv/{{.Node.Hostname}}", readOnly), "Swarm completes the path on the node: it may be any"},
		{"pipe", mount.Mount{Type: mount.TypeNamedPipe, Source: `\\.\pipe\docker_engine`}, "talks to a process of the node, such as the engine"},
		{"local bind", local(map[string]string{"type": "none", "o": "rbind,ro", "device": "/root"}), "writes files of the system: can become root on the node"},
		{"disk", local(map[string]string{"type": "ext4", "device": "/dev/sda1"}), "the node mounts it as root: can become root on the node"},
		{"overlay", local(map[string]string{"type": "overlay", "device": "overlay", "o": "lowerdir=/etc"}), "the node mounts it as root: can become root on the node"},
		{"nfs", local(map[string]string{"type": "nfs4", "device": ":/export", "o": "addr=10.0.0.1"}), "reads and writes files of another machine"},
		{"memory", local(map[string]string{"type": "tmpfs", "device": "tmpfs"}), ""},
		{"own", local(nil), ""},
		{"anonymous", mount.Mount{Type: mount.TypeVolume, Target: "/x"}, ""},
		{"plugin", mount.Mount{Type: mount.TypeVolume, VolumeOptions: &mount.VolumeOptions{DriverConfig: &mount.Driver{Name: "rexray"}}}, "the driver decides what it reads and writes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			why := ""
			for _, grant := range compose.Grants(stackWith(swarm.ContainerSpec{Mounts: []mount.Mount{test.mount}})) {
				why += grant.Why
			}
			if why != test.want {
				t.Errorf("got %q, want %q", why, test.want)
			}
		})
	}
	shared := bind("/srv", readOnly)
	shared.BindOptions = &mount.BindOptions{Propagation: mount.PropagationRShared}
	if got := compose.Grants(stackWith(swarm.ContainerSpec{Mounts: []mount.Mount{shared}})); len(got) != 2 {
		t.Errorf("a shared mount: %+v", got)
	}
}

func TestGrantsOfPrivileges(t *testing.T) {
	stack := stackWith(swarm.ContainerSpec{CapabilityAdd: []string{"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "cap_kill"}, Privileges: &swarm.Privileges{
		Seccomp: &swarm.SeccompOpts{Mode: swarm.SeccompModeUnconfined}, AppArmor: &swarm.AppArmorOpts{Mode: swarm.AppArmorModeDisabled},
		SELinuxContext: &swarm.SELinuxContext{Disable: true}, CredentialSpec: &swarm.CredentialSpec{File: "x"},
	}})
	spec := stack.Services["s_a"]
	spec.TaskTemplate.Runtime = swarm.RuntimePlugin
	spec.TaskTemplate.LogDriver = &swarm.Driver{Name: "splunk", Options: map[string]string{
		"splunk-url": "https://user:p4ss@logs.example.com:8088/x?token=t0ken", "splunk-token": "s3cret", "splunk-capath": "/etc/ca.pem", "tag": "x",
	}}
	spec.TaskTemplate.Networks = []swarm.NetworkAttachmentConfig{{Target: "s_lan"}, {Target: "s_default"}}
	spec.TaskTemplate.Resources = &swarm.ResourceRequirements{Reservations: &swarm.Resources{GenericResources: []swarm.GenericResource{
		{DiscreteResourceSpec: &swarm.DiscreteGenericResource{Kind: "gpu", Value: 1}},
	}}}
	stack.Services["s_a"] = spec
	stack.Networks = map[string]network.CreateOptions{"s_lan": {Driver: "macvlan", Options: map[string]string{"parent": "eth0", "com.docker.network.driver.mtu": "1400"}}, "s_default": {Driver: "overlay"}}
	var got []string
	for _, grant := range compose.Grants(stack) {
		got = append(got, grant.What)
	}
	want := []string{
		"apparmor disabled", "capability NET_ADMIN", "capability SYS_ADMIN", "credential_spec", "generic resource gpu", "log driver splunk",
		"log driver splunk with splunk-capath=/etc/ca.pem", "log driver splunk with splunk-token", "log driver splunk with splunk-url=https://logs.example.com:8088/x",
		"network s_lan with driver macvlan", "network s_lan with parent=eth0",
		"runtime plugin", "seccomp unconfined", "selinux disabled",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// stackWith gives the stack s with the service s_a of a container.
func stackWith(container swarm.ContainerSpec) *compose.Stack {
	return &compose.Stack{Name: "s", Services: map[string]swarm.ServiceSpec{"s_a": {
		Annotations: swarm.Annotations{Name: "s_a"}, TaskTemplate: swarm.TaskSpec{ContainerSpec: &container},
	}}}
}
