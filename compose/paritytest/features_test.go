package paritytest

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"coin.internal/coin-agent/manifests"
)

// features lists the features that the cases cover, each with a pattern that must match
// the files of a case that names it. A case names its features in the first line of its
// docker-compose.yml.
var features = map[string]string{
	"ports single":                  `- \d+$`,
	"ports short":                   `- "\d+:\d+"`,
	"ports short tcp":               `- "\d+:\d+/tcp"`,
	"ports short udp":               `- "\d+:\d+/udp"`,
	"ports short sctp":              `- "\d+:\d+/sctp"`,
	"ports range":                   `- "\d+-\d+:\d+-\d+"`,
	"ports range udp":               `- "\d+-\d+:\d+-\d+/udp"`,
	"ports range without published": `- "\d+-\d+"`,
	"ports with an address":         `- "127\.0\.0\.1:\d+:\d+"`,
	"ports long":                    `target: \d+\s+published: \d+`,
	"ports long without published":  `target: \d+\s+protocol: udp`,
	"ports host":                    `mode: host`,
	"ports ingress":                 `mode: ingress`,
	"ports from variables":          `- "\$HTTP:80"`,
	"endpoint mode vip":             `endpoint_mode: vip`,
	"endpoint mode dnsrr":           `endpoint_mode: dnsrr`,

	"volumes short":                   `- named:/`,
	"volumes short read-only":         `- named:/\S+:ro$`,
	"volumes short bind":              `- /srv/data:/data$`,
	"volumes short slash":             `:/var/lib/slash/$`,
	"volumes short anonymous":         `- /var/lib/anonymous$`,
	"volumes short nocopy":            `:nocopy$`,
	"volumes short propagation":       `:rshared$`,
	"volumes long":                    `type: volume\s+source: named`,
	"volumes long bind":               `type: bind\s+source: `,
	"volumes long tmpfs":              `type: tmpfs\s+target: `,
	"volumes long npipe":              `type: npipe`,
	"volumes long cluster":            `type: cluster`,
	"volumes long anonymous":          `type: volume\s+target: `,
	"volumes long nocopy":             `nocopy: true`,
	"volumes long propagation":        `propagation: rprivate`,
	"volumes long subpath":            `subpath: \S+`,
	"volumes consistency":             `consistency: cached`,
	"tmpfs size":                      `size: 1048576`,
	"volume driver":                   `driver: local`,
	"volume driver_opts":              `driver_opts:\s+type: nfs`,
	"volume labels map":               `labels: \{tier: data`,
	"volume labels list":              `labels:\s+- tier=data`,
	"volume name":                     `name: parity-names`,
	"volume external":                 `external: true$`,
	"volume external with name":       `external: true\s+name: parity-outside`,
	"volume external object":          `external:\s+name: parity-legacy`,
	"secrets short":                   `secrets: \[zeta, alpha\]`,
	"secrets long":                    `source: one\s+target: renamed\s+uid: "103"\s+gid: "104"`,
	"secrets mode octal":              `mode: 0440`,
	"secrets mode decimal":            `mode: 292`,
	"secrets absolute target":         `target: /etc/app/absolute`,
	"secret name":                     `name: parity\.versioned\.plain`,
	"secret name default":             `name: \S+\$\{SV_\w+:-\d`,
	"secret name versioned":           `name: \S+\.\$SV_db`,
	"secret external":                 `parity-external-plain:\s+external: true`,
	"secret external with name":       `external: true\s+name: parity-external`,
	"secret external object":          `external: \{name: parity-external-legacy\}`,
	"secret labels map":               `labels: \{kind: password`,
	"secret labels list":              `labels: \["kind=password"`,
	"secret driver":                   `driver: vault-plugin`,
	"secret driver_opts":              `driver_opts:\s+path: `,
	"secret template_driver":          `template_driver: golang`,
	"configs short":                   `configs: \[zeta, alpha\]`,
	"configs long":                    `source: one\s+target: /etc/one\.conf\s+uid: "1"\s+gid: "2"\s+mode: 0644`,
	"config name versioned":           `name: \S+\.\$SV_two`,
	"config external with name":       `external: true\s+name: parity-external-named`,
	"config external object":          `external: \{name: `,
	"config template_driver":          `template_driver: golang`,
	"config labels":                   `labels:\s+- kind=settings`,
	"credential_spec config":          `credential_spec:\s+config: spec`,
	"credential_spec file":            `credential_spec:\s+file: spec\.json`,
	"credential_spec registry":        `credential_spec:\s+registry: spec`,
	"networks list":                   `networks: \[zeta, default, alpha\]`,
	"networks map":                    `networks:\s+front:\s+aliases:`,
	"networks null":                   `^      bare:$`,
	"networks aliases":                `aliases: \[web, www`,
	"networks attachment driver_opts": `driver_opts:\s+com\.example`,
	"networks address":                `ipv4_address: `,
	"network default":                 `^  default:$`,
	"network default redefined":       `default:\s+name: `,
	"network name":                    `name: parity-named`,
	"network driver":                  `driver: overlay`,
	"network driver_opts":             `driver_opts:\s+com\.docker\.network`,
	"network attachable":              `attachable: true`,
	"network internal":                `internal: true`,
	"network ipam driver":             `driver: default`,
	"network ipam config":             `config:\s+- subnet: `,
	"network labels map":              `labels: \{team: web`,
	"network labels list":             `labels: \["team=web"`,
	"network external":                `parity-external-net:\s+external: true`,
	"network external with name":      `external: true\s+name: parity-external-named`,
	"network external object":         `external:\s+name: parity-external-legacy`,
	"network host":                    `external: \{name: host\}`,

	"deploy empty":                    `deploy: \{\}`,
	"deploy mode replicated":          `mode: replicated$`,
	"deploy mode global":              `mode: global$`,
	"deploy mode replicated-job":      `mode: replicated-job`,
	"deploy mode global-job":          `mode: global-job`,
	"deploy replicas":                 `replicas: 3`,
	"deploy replicas zero":            `replicas: 0`,
	"deploy labels map":               `deploy:\s+labels: \{`,
	"deploy labels list":              `deploy:\s+labels:\s+- `,
	"update_config":                   `update_config:\s+parallelism: \d+\s+delay: \S+\s+failure_action: \S+\s+monitor: \S+\s+max_failure_ratio: \S+\s+order: \S+`,
	"update_config empty":             `update_config: \{\}`,
	"update_config pause":             `failure_action: pause`,
	"update_config continue":          `failure_action: continue`,
	"update_config rollback":          `failure_action: rollback`,
	"rollback_config":                 `rollback_config:\s+parallelism: \d+\s+delay: \S+\s+failure_action: \S+\s+monitor: \S+\s+max_failure_ratio: \S+\s+order: \S+`,
	"rollback_config empty":           `rollback_config: \{\}`,
	"restart_policy":                  `condition: on-failure\s+delay: \S+\s+max_attempts: \d+\s+window: \S+`,
	"restart_policy any":              `condition: any`,
	"restart_policy none":             `condition: none`,
	"restart_policy empty":            `restart_policy: \{\}`,
	"restart always":                  `restart: always`,
	"restart unless-stopped":          `restart: unless-stopped`,
	"restart on-failure":              `restart: on-failure:5`,
	"restart no":                      `restart: "no"`,
	"placement constraints":           `constraints:\s+- node\.role`,
	"placement preferences":           `preferences:\s+- spread: `,
	"placement max_replicas_per_node": `max_replicas_per_node: 2`,
	"placement empty":                 `placement: \{\}`,
	"limits cpus":                     `limits: \{cpus: `,
	"limits memory":                   `limits: \{.*memory: `,
	"limits pids":                     `limits: \{.*pids: `,
	"reservations cpus":               `reservations: \{cpus: `,
	"reservations memory":             `reservations: \{.*memory: `,
	"reservations generic_resources":  `generic_resources:\s+- discrete_resource_spec:`,
	"resources empty":                 `resources: \{\}`,
	"labels map":                      `^    labels: \{com`,
	"labels list":                     `^    labels:\s+- `,
}

// moreFeatures lists the features of health checks, containers, environments, variables
// and several files.
var moreFeatures = map[string]string{
	"health check CMD":            `test: \["CMD",`,
	"health check CMD-SHELL":      `test: \["CMD-SHELL",`,
	"health check NONE":           `test: \["NONE"\]`,
	"health check text":           `test: curl`,
	"health check disabled":       `disable: true`,
	"health check disable false":  `disable: false`,
	"health check empty":          `healthcheck: \{\}`,
	"health check times":          `interval: \S+\s+timeout: \S+\s+retries: \d+\s+start_period: \S+`,
	"health check times alone":    `healthcheck:\s+interval: 2s`,
	"health check start_interval": `start_interval: `,
	"stop_signal":                 `stop_signal: SIG`,
	"stop_grace_period":           `stop_grace_period: 1m30s`,
	"logging driver":              `driver: syslog`,
	"logging options":             `options:\s+syslog-address`,
	"logging empty":               `logging: \{\}`,
	"ulimits single":              `nproc: 65535`,
	"ulimits soft and hard":       `nofile:\s+soft: \d+\s+hard: \d+`,
	"sysctls map":                 `sysctls:\s+net\.`,
	"sysctls list":                `sysctls:\s+- net\.`,
	"cap_add":                     `cap_add: \[NET_ADMIN`,
	"cap_add ALL":                 `cap_add: \[ALL\]`,
	"cap_drop":                    `cap_drop: \[MKNOD`,
	"cap_drop ALL":                `cap_drop: \[ALL\]`,
	"init true":                   `init: true`,
	"init false":                  `init: false`,
	"extra_hosts list":            `extra_hosts:\s+- "zeta`,
	"extra_hosts map":             `extra_hosts:\s+zeta:`,
	"dns list":                    `dns:( \[9|\s+- 9)`,
	"dns text":                    `dns: 9`,
	"dns empty":                   `dns: \[\]`,
	"dns_search list":             `dns_search: \[example`,
	"dns_search text":             `dns_search: example`,
	"user":                        `user: "1000:1000"`,
	"hostname":                    `hostname: app-1`,
	"working_dir":                 `working_dir: /`,
	"tty":                         `tty: true`,
	"stdin_open":                  `stdin_open: true`,
	"read_only":                   `^    read_only: true`,
	"isolation":                   `isolation: hyperv`,
	"image without tag":           `image: nginx$`,
	"image with tag":              `image: nginx:`,
	"image with digest":           `app@sha256:`,
	"image of the hub":            `image: docker\.io/library/`,
	"image from variables":        `image: \$REGISTRY/`,
	"command text":                `command: run --flag "two words"`,
	"command with operators":      `command: one; two && three \| four > five`,
	"command folded":              `command: >$`,
	"command list":                `command: \["`,
	"command empty":               `command: \[\]`,
	"entrypoint text":             `entrypoint: /`,
	"entrypoint list":             `entrypoint: \["`,
	"oom_score_adj":               `oom_score_adj: `,

	"environment map":                  `environment:\s+TEXT: text`,
	"environment list":                 `environment:\s+- ZETA=1`,
	"environment null":                 `NULL_SET:$`,
	"environment bare name":            `- NULL_SET$`,
	"environment number":               `NUMBER: 12$`,
	"environment of several lines":     `MULTI: \|`,
	"env_file text":                    `env_file: raw\.env`,
	"env_file list":                    `env_file: \[\./env/other\.env\]`,
	"env_file several":                 `env_file: \[one\.env, two\.env\]`,
	"env_file under environment":       `env_file: .*\s+environment:`,
	"env_file quotes":                  `^QUOTED="keeps`,
	"env_file comments":                `^# A comment\n\n`,
	"env_file bare name":               `^NULL_SET$`,
	"env_file of project settings":     `- \$PROJECT_SETTINGS`,
	"env_file derived":                 `\.project\.client\.tmp\.env`,
	"interpolation plain":              `PLAIN: \$SET$`,
	"interpolation braces":             `BRACES: \$\{SET\}`,
	"interpolation in keys":            `^      \$SET: `,
	"interpolation escaped":            `\$\$SET`,
	"interpolation :-":                 `\$\{UNSET:-default\}`,
	"interpolation -":                  `\$\{UNSET-default\}`,
	"interpolation :?":                 `\$\{SET:\?must be set\}`,
	"interpolation ?":                  `\$\{SET\?must be set\}`,
	"interpolation nested":             `\$\{UNSET:-\$\{SET\}\}`,
	"interpolation typed":              `tty: \$YES`,
	"interpolation TAG_ default":       `:\$\{TAG_\w+:-`,
	"env_file bare and indented lines": `.project.client.tmp.env`,
	"interpolation TAG_":               `:\$TAG_`,
	"template in hostname":             `hostname: "\{\{\.Node\.Hostname\}\}`,
	"template in environment":          `'\{\{\.Service\.Name\}\}'`,
	"template in mount":                `name: "parity-\{\{\.Node\.Hostname\}\}"`,
	"x- at the top":                    `^x-top: `,
	"x- in a service":                  `^    x-note: `,
	"x- in objects":                    `file: \S+\s+x-note: `,
	"anchors":                          `: [&*]\w+`,
	"merge key":                        `<<: \*`,
	"merge key list":                   `<<: \[\*`,
	"merge of ports":                   `- "20510:91"`,
	"merge of networks":                `front:\s+internal: true`,
	"merge of environment":             `env_file: more\.env`,
	"merge of labels":                  `labels: \["both=more"\]`,
	"merge of secrets":                 `source: two,?\s+target: renamed`,
	"merge of configs":                 `source: conf, target: /etc/conf`,
	"merge of volumes":                 `- other:/z`,
	"merge of deploy":                  `reservations: \{memory: 10M\}`,
	"merge of lists":                   `extra_hosts: \["b:`,
	"merge takes nothing back":         `tty: false`,
	"merge of health checks":           `interval: 9s`,
	"merge of three files":             `C: "3"`,
	"merge adds services":              `second:\s+image: `,
	"keys without effect":              `container_name: `,
	"network_mode host":                `network_mode: host`,
	"a stack of deployment.sh":         `_cron`,
}

var firstLine = regexp.MustCompile(`^# features: (.+)\n`)

// TestFeatures checks that every feature is in a case, and that every case names its
// features and has them.
func TestFeatures(t *testing.T) {
	all := maps.Clone(features)
	maps.Copy(all, moreFeatures)
	repository := os.DirFS("testdata")
	names, err := manifests.Nodes(repository, "cases")
	if err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, name := range names {
		text := caseText(t, repository, name)
		line := firstLine.FindStringSubmatch(text)
		if line == nil {
			t.Errorf("%s: its first line names no features", name)
			continue
		}
		for feature := range strings.SplitSeq(line[1], ", ") {
			pattern, ok := all[feature]
			if !ok {
				t.Errorf("%s: unknown feature %q", name, feature)
			} else if !regexp.MustCompile(`(?m)` + pattern).MatchString(text) {
				t.Errorf("%s: its files do not have %q", name, feature)
			}
			covered[feature] = true
		}
	}
	for _, feature := range slices.Sorted(maps.Keys(all)) {
		if !covered[feature] {
			t.Errorf("no case has %q", feature)
		}
	}
	t.Logf("%d features in %d cases", len(covered), len(names))
}

// caseText returns the files of a case as one text, docker-compose.yml first.
func caseText(t *testing.T, repository fs.FS, name string) string {
	t.Helper()
	dir := path.Join("environments/cases/nodes", name)
	texts := []string{""}
	err := fs.WalkDir(repository, dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(repository, file)
		if path.Base(file) == "docker-compose.yml" {
			texts[0] = string(data)
		} else {
			texts = append(texts, string(data))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(texts, "\n")
}
