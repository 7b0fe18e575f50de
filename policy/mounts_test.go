package policy_test

import (
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/policy"
)

const noMounts = "bind_mounts: []"

func TestBindMounts(t *testing.T) {
	bind := func(volumes string) map[string]string { return service("    volumes: [" + volumes + "]") }
	volume := func(options string) map[string]string {
		files := bind("data:/data")
		files[composeFile] += "volumes:\n  data:\n    driver_opts:\n      " + options + "\n"
		return files
	}
	readOnly := func(options string) map[string]string {
		files := volume(options)
		files[composeFile] = strings.Replace(files[composeFile], "data:/data", "data:/data:ro", 1)
		return files
	}
	tests := []struct {
		name, rules string
		files       map[string]string
		want        []string
	}{
		{"absent", "stacks: [app]", bind("/:/host"), nil},
		{"none", noMounts, bind("/srv:/a"), []string{"bind_mounts|web|3|mounts /srv of the node"}},
		{"strict", "strict: true", bind("/srv:/a"), []string{"bind_mounts|web|3|mounts /srv of the node"}},
		{"prefix", "bind_mounts: [/srv/coin]", bind("/srv/coin:/a, /srv/coin/b:/b"), nil},
		{"beside", "bind_mounts: [/srv/coin]", bind("/srv/coins:/a"), []string{"bind_mounts|web|3|mounts /srv/coins of the node"}},
		{"above", "bind_mounts: [/srv/coin]", bind("/srv:/a"), []string{"bind_mounts|web|3|mounts /srv of the node"}},
		{"cleaned", "bind_mounts: [/srv/coin]", bind("/srv/coin/../../etc:/a"), []string{"bind_mounts|web|3|mounts /etc of the node"}},
		{"root as prefix", "bind_mounts: [/]", bind("/etc:/a"), nil},
		{"only", `bind_mounts: ["/srv/coin:only"]`, bind("/srv/coin:/a, /srv/coin/link:/b"), []string{"bind_mounts|web|3|mounts /srv/coin/link of the node"}},
		{"writes", `bind_mounts: ["/srv/coin:ro"]`, bind("/srv/coin:/a"), []string{"bind_mounts|web|3|mounts /srv/coin of the node and may write to it"}},
		{"reads", `bind_mounts: ["/srv/coin:ro"]`, bind("/srv/coin:/a:ro"), nil},
		{"reads, long", `bind_mounts: ["/srv/coin:ro"]`, bind("{type: bind, source: /srv/coin, target: /a, read_only: true}"), nil},
		{"part may be written", `bind_mounts: ["/srv:ro", /srv/coin]`, bind("/srv/coin:/a"), nil},
		{"other name of /run", "bind_mounts: [/var/run/coin]", bind("/run/coin:/a, /var/run/coin:/b"), nil},
		{"volume", noMounts, volume("{type: none, o: bind, device: /etc}"), []string{"bind_mounts|web|7|mounts /etc of the node"}},
		{"volume, many options", noMounts, volume("{type: ext4, o: 'rw,rbind', device: /etc/}"), []string{"bind_mounts|web|7|mounts /etc of the node"}},
		{"volume, read-only", `bind_mounts: ["/etc:ro"]`, readOnly("{type: none, o: bind, device: /etc}"), nil},
		{"volume, ro taken back", `bind_mounts: ["/etc:ro"]`, volume("{type: none, o: 'bind,ro,rw', device: /etc}"), []string{"bind_mounts|web|7|mounts /etc of the node and may write to it"}},
		{"template", "bind_mounts: [/srv]", bind(`'/srv/{{printf "%c%c" 46 46}}/etc:/a'`), []string{`bind_mounts|web|3|mounts /srv/{{printf "%c%c" 46 46}}/etc of the node`}},
		{"template by its text", "bind_mounts: ['/srv/{{.Node.Hostname}}']", bind("'/srv/{{.Node.Hostname}}:/a'"), nil},
		{"plain volume", "strict: true", volume("{}"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			judged(t, test.rules, rendered(t, test.files), test.want...)
		})
	}
}

// TestVolumeBehindALink refuses a device that leads through a link which a container can make in
// a folder that the policy allows.
func TestVolumeBehindALink(t *testing.T) {
	files := service("    volumes: [data:/data]")
	files[composeFile] += "volumes:\n  data: {driver_opts: {type: none, o: bind, device: /srv/up/x/..}}\n"
	const refused = "bind_mounts|web|5|mounts the device /srv/up/x/.., which is not in its plain form"
	for _, rules := range []string{`bind_mounts: ["/srv/up:only"]`, "engine_socket: []", "strict: true"} {
		p, err := policy.ReadFile("agent.yml", []byte("policy: {"+strings.Trim(rules, "{}")+"}"))
		if err != nil {
			t.Fatal(err)
		}
		if got := verdicts(p.Judge(rendered(t, files))); !slices.Contains(got, refused) {
			t.Errorf("%s: %q", rules, got)
		}
	}
}

func TestEngineSocket(t *testing.T) {
	bind := func(source string) map[string]string { return service("    volumes: ['" + source + ":/a']") }
	const what = ", which gives it the engine's socket and so the node"
	tests := []struct {
		name, rules, source string
		want                []string
	}{
		{"absent", "stacks: [app]", "/var/run/docker.sock", nil},
		{"not listed", "engine_socket: [cron]", "/var/run/docker.sock", []string{"engine_socket|web|3|mounts /run/docker.sock" + what}},
		{"listed", "{strict: true, engine_socket: [web]}", "/var/run/docker.sock", nil},
		{"by pattern", "{strict: true, engine_socket: [w*]}", "/run/docker.sock", nil},
		{"node's own", "engine_socket: []", "/opt/engine/own.sock", []string{"engine_socket|web|3|mounts /opt/engine/own.sock" + what}},
		{"containerd", "engine_socket: []", "/run/containerd/containerd.sock", []string{"engine_socket|web|3|mounts /run/containerd/containerd.sock" + what}},
		{"root", "{engine_socket: [], bind_mounts: [/]}", "/", []string{"engine_socket|web|3|mounts /" + what}},
		{"/var", "engine_socket: []", "/var", []string{"engine_socket|web|3|mounts /var" + what}},
		{"/var/run", "engine_socket: []", "/var/run/", []string{"engine_socket|web|3|mounts /run" + what}},
		{"/run", "engine_socket: []", "//run/.", []string{"engine_socket|web|3|mounts /run" + what}},
		{"beside", "engine_socket: []", "/var/lib", nil},
		{"above, listed", "{strict: true, engine_socket: [web]}", "/var/run", []string{"bind_mounts|web|3|mounts /run of the node"}},
		{"process", "engine_socket: []", "/proc/1/root/run/docker.sock", []string{"engine_socket|web|3|mounts /proc/1/root/run/docker.sock" + what}},
		{"processes", "engine_socket: []", "/proc", nil},
		{"template", "engine_socket: []", "/{{.Node.Hostname}}", []string{"engine_socket|web|3|mounts /{{.Node.Hostname}}" + what}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			judged(t, test.rules, rendered(t, bind(test.source)), test.want...)
		})
	}
}
