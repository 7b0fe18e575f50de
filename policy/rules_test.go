package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/policy"
)

// with adds top-level keys to a compose file with one service.
func with(keys, top string) map[string]string {
	files := service(keys)
	files[composeFile] += top
	return files
}

func TestServices(t *testing.T) {
	const (
		nfs     = "volumes:\n  data:\n    driver_opts: {type: nfs, o: 'addr=10.0.0.1', device: ':/export'}\n"
		overlay = "volumes:\n  data:\n    driver_opts: {type: overlay, o: 'lowerdir=/,upperdir=/tmp/u,workdir=/tmp/w', device: overlay}\n"
		hidden  = "volumes:\n  data:\n    driver_opts: {type: tmpfs, o: '{{\"bind\"}}', device: /}\n"
		plugin  = "volumes:\n  data:\n    driver: rexray/ebs\n"
		other   = "volumes:\n  data:\n    external: true\n    name: billing_db\n"
		renamed = "volumes:\n  data:\n    name: billing_db\n"
		id      = "networks:\n  other: {external: true, name: abcdefghijklmnopqrstuvwxy}\n"
		shared  = "networks:\n  other: {external: true, name: shared_net}\n"
		host    = "networks:\n  h: {external: true, name: host}\n"
		macvlan = "networks:\n  other:\n    driver: macvlan\n"
		secret  = "secrets:\n  key: {external: true, name: other_key}\n"
		missing = "secrets:\n  key: {file: ./secrets/key, name: other_key}\n"
		config  = "configs:\n  conf: {external: true, name: other_conf}\n"
		driver  = "secrets:\n  key: {driver: vault, name: app_key}\n"
	)
	data, joins := "    volumes: ['data:/data']", "    networks: [other]"
	const notOwn = ", which is not the stack's own"
	tests := []struct {
		name, rules string
		files       map[string]string
		want        []string
	}{
		{"capability, absent", "stacks: [app]", service("    cap_add: [ALL]"), nil},
		{"capability, strict", "strict: true", service("    cap_add: [\n    CHOWN,\n    SYS_ADMIN]"), []string{
			"capabilities|web|4|adds the capability CHOWN", "capabilities|web|5|adds the capability SYS_ADMIN",
		}},
		{"capability, listed", "capabilities: {web: [NET_ADMIN]}", service("    cap_add: [CAP_NET_ADMIN, net_raw]"), []string{"capabilities|web|3|adds the capability NET_RAW"}},
		{"capability, other service", "capabilities: {db: [NET_ADMIN]}", service("    cap_add: [NET_ADMIN]"), []string{"capabilities|web|3|adds the capability NET_ADMIN"}},
		{"capability, all services", `capabilities: {"*": [net_admin]}`, service("    cap_add: [NET_ADMIN]"), nil},
		{"ALL by a pattern", `capabilities: {web: ["*"]}`, service("    cap_add: [all]"), []string{"capabilities|web|3|adds the capability ALL"}},
		{"ALL", "capabilities: {web: [ALL]}", service("    cap_add: [ALL]"), nil},

		{"sysctl", "privileges: {}", service("    sysctls: [net.ipv4.ip_forward=1]"), []string{`privileges|web|3|has the privilege "sysctl net.ipv4.ip_forward"`}},
		{"sysctl, mapping", "strict: true", service("    sysctls: {\n    net.ipv4.ip_forward: 1}"), []string{`privileges|web|4|has the privilege "sysctl net.ipv4.ip_forward"`}},
		{"sysctl, listed", `privileges: {web: ["sysctl net.core.*"]}`, service("    sysctls: [net.core.somaxconn=1024]"), nil},
		{"propagation", "{strict: true, bind_mounts: [/srv]}", service("    volumes: [{type: bind, source: /srv, target: /a, bind: {propagation: rshared}}]"), []string{`privileges|web|3|has the privilege "propagation rshared"`}},
		{"device", "privileges: {}", service("    deploy: {resources: {reservations: {generic_resources: [{discrete_resource_spec: {kind: gpu, value: 1}}]}}}"), []string{`privileges|web|3|has the privilege "device gpu"`}},

		{"host network", "host_network: []", service("    network_mode: host"), []string{"host_network|web|3|uses the node's own network"}},
		{"host network by its name", "{strict: true, external: {networks: ['*']}}", with("    networks: [h]", host), []string{"host_network|web|3|uses the node's own network"}},
		{"host network, listed", "{strict: true, host_network: [web]}", service("    network_mode: host"), nil},

		{"volume of others", "external: {volumes: []}", with(data, other), []string{"external.volumes|web|5|uses the volume billing_db" + notOwn}},
		{"volume of others, renamed", "strict: true", with(data, renamed), []string{"external.volumes|web|5|uses the volume billing_db" + notOwn}},
		{"volume, listed", "{strict: true, external: {volumes: [billing_*]}}", with(data, other), nil},
		{"network", "external: {networks: [proxy]}", with(joins, shared), []string{"external.networks|web|5|uses the network shared_net" + notOwn}},
		{"name on it, strict", "{strict: true, external: {networks: [shared_net]}}", with(joins, shared), []string{
			"external.aliases|web|3|has the name web on the network shared_net" + notOwn,
		}},
		{"another name on it", "external: {aliases: [web]}", with("    networks: {other: {\n    aliases: [web, db]}}", shared), []string{
			"external.aliases|web|4|has the name db on the network shared_net" + notOwn,
		}},
		{"name, listed", "{strict: true, external: {networks: [shared_net], aliases: [web, shop_*]}}", with("    networks: {other: {aliases: [shop_web]}}", shared), nil},
		{"name on an own network", "external: {aliases: []}", with("    networks: {other: {aliases: [db]}}", "networks: {other: {}}"), nil},
		{"network by its ID", "external: {networks: ['*']}", with(joins, id), []string{"external.networks|web|5|uses the network abcdefghijklmnopqrstuvwxy" + notOwn}},
		{"network, listed", "{strict: true, external: {networks: [shared_net], aliases: [web]}}", with(joins, shared), nil},
		{"network, other rule only", "external: {secrets: []}", with(joins, shared), nil},
		{"secret", "strict: true", with("    secrets: [key]", secret), []string{"external.secrets|web|5|uses the secret other_key" + notOwn}},
		{"secret without a value here", "strict: true", with("    secrets: [key]", missing), []string{"external.secrets|web|5|uses the secret other_key" + notOwn}},
		{"secret, listed", "external: {secrets: [other_*]}", with("    secrets: [key]", secret), nil},
		{"unused secret", "external: {secrets: []}", with("    command: x", secret), []string{"external.secrets||5|the secret other_key is not the stack's own"}},
		{"config", "strict: true", with("    configs: [conf]", config), []string{"external.configs|web|5|uses the config other_conf" + notOwn}},

		{"volume driver", "volume_drivers: []", with(data, plugin), []string{`volume_drivers|web|6|uses the driver "rexray/ebs"`}},
		{"local volume of a type", "strict: true", with(data, nfs), []string{`volume_drivers|web|5|uses the driver "local type=nfs"`}},
		{"local volume of a type, listed", "volume_drivers: [local type=nfs]", with(data, nfs), nil},
		{"overlay of the node's root", "volume_drivers: [local]", with(data, overlay), []string{`volume_drivers|web|5|uses the driver "local type=overlay"`}},
		{"bind behind a template", "strict: true", with(data, hidden), []string{`volume_drivers|web|5|uses the driver "local o={{\"bind\"}}"`}},
		{"network driver", "strict: true", with(joins, macvlan), []string{`network_drivers||6|a network uses the driver "macvlan"`}},
		{"interface of the node", "network_drivers: [macvlan]", with(joins, macvlan+"    driver_opts:\n      parent: eth0\n"), []string{
			`network_drivers||8|a network uses the driver "macvlan parent=eth0"`,
		}},
		{"interface, listed", "network_drivers: [macvlan, macvlan parent=eth0.*]", with(joins, macvlan+"    driver_opts:\n      parent: eth0.10\n"), nil},
		{"option of an overlay", "strict: true", with(joins, "networks:\n  other:\n    driver_opts: {encrypted: 'true', scope: swarm, com.docker.network.driver.overlay.vxlanid_list: '4096'}\n"), []string{
			`network_drivers||6|a network uses the driver "overlay com.docker.network.driver.overlay.vxlanid_list=4096"`,
		}},
		{"option of a service's part", "strict: true", with("    networks: {other: {\n    driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.forwarding=1}}}", "networks: {other: {}}"), []string{
			`network_drivers|web|4|uses the driver "overlay com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.forwarding=1"`,
		}},
		{"secret driver", "strict: true", with("    secrets: [key]", driver), []string{`secret_drivers|web|5|uses the driver "vault"`}},

		{"log driver", "strict: true", service("    logging: {driver: syslog, options: {\n    syslog-address: 'tcp://127.0.0.1:6379', tag: x}}"), []string{
			`log_drivers|web|3|uses the driver "syslog"`, `log_drivers|web|4|uses the driver "syslog syslog-address=tcp://127.0.0.1:6379"`,
		}},
		{"server of a log driver", "log_drivers: [fluentd, 'fluentd fluentd-address=logs.internal:24224']", service("    logging: {driver: fluentd, options: {fluentd-address: 'evil.example.com:24224'}}"), []string{
			`log_drivers|web|3|uses the driver "fluentd fluentd-address=evil.example.com:24224"`,
		}},
		{"server, listed", "log_drivers: [fluentd, 'fluentd fluentd-address=logs.internal:*']", service("    logging: {driver: fluentd, options: {fluentd-address: 'logs.internal:24224', tag: x}}"), nil},
		{"log driver, listed", "log_drivers: [syslog]", service("    logging: {driver: syslog}"), nil},
		{"log driver of the node", "strict: true", service("    logging: {driver: json-file, options: {max-size: 10m}}"), nil},
		{"volume of a stack with a longer name", "strict: true", with(data, "volumes: {data: {external: true, name: app_other_db}}"), []string{"external.volumes|web|4|uses the volume app_other_db" + notOwn}},

		{"port", "published_ports: []", service("    ports: [\n    '443:8443']"), []string{"published_ports|web|4|publishes port 443 (tcp, mode ingress)"}},
		{"port in a range", "{strict: true, published_ports: [8000-8010]}", service("    ports: ['8000-8001:80-81', '8010:1']"), nil},
		{"port beside a range", "published_ports: [8000-8010]", service("    ports: ['8011:80']"), []string{"published_ports|web|3|publishes port 8011 (tcp, mode ingress)"}},
		{"port, protocol", "published_ports: [53]", service("    ports: ['53:53/udp']"), []string{"published_ports|web|3|publishes port 53 (udp, mode ingress)"}},
		{"port, mode", "published_ports: [53/udp]", service("    ports: [{target: 53, published: 53, protocol: udp, mode: host}]"), []string{"published_ports|web|3|publishes port 53 (udp, mode host)"}},
		{"port, all said", "published_ports: [53/udp/host]", service("    ports: [{target: 53, published: 53, protocol: udp, mode: host}]"), nil},
		{"port of the engine's choice", "published_ports: [1-65535]", service("    ports: ['80']"), []string{"published_ports|web|3|publishes port any (tcp, mode ingress)"}},
		{"any port", "published_ports: [any]", service("    ports: ['80']"), nil},

		{"placement", `placement: {"*": [node.role == worker]}`, service("    command: x"), []string{"placement|web|2|lacks the constraint node.role==worker"}},
		{"placement, other", `placement: {web: [node.role == worker]}`, service("    deploy: {placement: {constraints: [node.role==manager]}}"), []string{"placement|web|3|lacks the constraint node.role==worker"}},
		{"placement, met", `placement: {web: [node.role==worker]}`, service("    deploy: {placement: {constraints: [node.role == worker]}}"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { judged(t, test.rules, rendered(t, test.files), test.want...) })
	}
}

// TestSuggestedPlacement demands of all services what all have, and of one what only it has.
func TestSuggestedPlacement(t *testing.T) {
	files := map[string]string{composeFile: `services:
  web: {image: nginx, deploy: {placement: {constraints: [node.role == manager, node.labels.zone == a]}}}
  db: {image: nginx, deploy: {placement: {constraints: [node.labels.zone==a]}}}
`}
	got := policy.Suggest(rendered(t, files)).Placement
	want := policy.PerService{"*": {"node.labels.zone==a"}, "web": {"node.role==manager"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
