package manifests

import (
	"path"
	"slices"
	"strings"

	"github.com/docker/go-units"
)

// Gates is the section `deployment.gates`.
type Gates struct {
	Tag             TagGate           `yaml:"tag" doc:"The format of the release's TAG."`
	Images          bool              `yaml:"images" doc:"Whether the image of each changed service must be in its registry. Default: true in an environment of type production, otherwise false."`
	Vulnerabilities VulnerabilityGate `yaml:"vulnerabilities" doc:"Which vulnerabilities that Harbor found in these images block a rollout. Without it, Harbor is not asked."`
	Disk            DiskGate          `yaml:"disk" doc:"How much free disk space the node must have."`
	Database        bool              `yaml:"database" doc:"Whether the database of the section database must accept connections. Default: true in an environment of type production with database.host, otherwise false."`
	Preflight       bool              `yaml:"preflight" default:"true" doc:"Whether the checks of agent doctor that concern rollouts must pass."`
}

// TagGate is the section `deployment.gates.tag`.
type TagGate struct {
	Pattern string `yaml:"pattern" format:"regexp" example:"'^\\d{4}-\\d{2}-\\d{2}-[a-f0-9]{10}$'" doc:"The regular expression that TAG must match. An empty pattern accepts any TAG. Default: ^\\d{4}-\\d{2}-\\d{2}-[a-f0-9]{10}$ in an environment of type production, otherwise empty."`

	Also []string // patterns of the other judges
}

// all lists the patterns that TAG must match.
func (g TagGate) all() []string {
	return slices.DeleteFunc(append([]string{g.Pattern}, g.Also...), func(pattern string) bool { return pattern == "" })
}

// NoAnswer says what happens when the vulnerabilities of an image are unknown.
type NoAnswer string

// The two reactions to unknown vulnerabilities.
const (
	NoAnswerBlock NoAnswer = "block"
	NoAnswerWarn  NoAnswer = "warn"
)

// VulnerabilityGate is the section `deployment.gates.vulnerabilities`.
type VulnerabilityGate struct {
	Registry   string   `yaml:"registry" format:"https" doc:"The address of Harbor. Default: the registry in the image's name."`
	Severity   string   `yaml:"severity" enum:"Critical|High|Medium|Low|none" default:"Critical" doc:"The lowest severity that blocks. With none, nothing blocks, and High and Critical are warnings."`
	OnNoAnswer NoAnswer `yaml:"on_no_answer" enum:"block|warn" default:"block" doc:"What happens when Harbor does not answer, does not know the image, or has not scanned it: the rollout waits and asks again (block), or continues with a warning (warn)."`
	Except     []string `yaml:"except" example:"[docker.io/library/*]" doc:"Images that are not checked, without tag, such as docker.io/library/postgres. * stands for any text between slashes."`
	UserFile   string   `yaml:"user_file" format:"plainfile" example:"harbor.user" doc:"The file in the agent's check_dir that holds the user name, such as robot$agent. Default: the login for that Harbor in registry_config_file."`
	TokenFile  string   `yaml:"token_file" format:"plainfile" example:"harbor.token" doc:"The file in the agent's check_dir that holds the secret of the user."`
	CAFile     string   `yaml:"ca_file" format:"plainfile" example:"harbor.pem" doc:"The file in the agent's check_dir that holds the CA certificates (PEM) trusted for Harbor. Default: the agent's ca_file and the system's."`

	Asked bool       // config.yml has this section
	Only  [][]string // Except of the other judges: only what each of them names is not checked
}

// DiskGate is the section `deployment.gates.disk`.
type DiskGate struct {
	MinFree string `yaml:"min_free" format:"size" default:"1GB" doc:"The required free space, such as 5GB or 512MiB. 0B means no limit."`
	Path    string `yaml:"path" format:"absolute" doc:"A folder on the file system to check. Default: the engine's data root if the engine runs on this machine, and the agent's state_dir."`
}

// releaseTag is the format of a release's TAG in production.
const releaseTag = `^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`

// ReleaseGates returns the section `deployment.gates` with the defaults of the
// environment's type.
func (c *Config) ReleaseGates() Gates {
	if c.gates != nil {
		return *c.gates
	}
	gates, production := c.Deployment.Gates, c.Environment.Type == Production
	if production && !c.set("deployment.gates.tag.pattern") {
		gates.Tag.Pattern = releaseTag
	}
	if !c.set("deployment.gates.images") {
		gates.Images = production
	}
	if !c.set("deployment.gates.database") {
		gates.Database = production && c.Database.Host != ""
	}
	gates.Vulnerabilities.Asked = c.set("deployment.gates.vulnerabilities")
	return gates
}

// Excepts reports whether an image, named without tag and digest, is not checked.
func (g VulnerabilityGate) Excepts(image string) bool {
	matches := func(pattern string) bool { matched, _ := path.Match(pattern, image); return matched } // validated
	misses := func(patterns []string) bool { return !slices.ContainsFunc(patterns, matches) }
	return !misses(g.Except) && !slices.ContainsFunc(g.Only, misses)
}

const sizePattern = `^([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([KMGT]i?)?B$`

// Bytes returns min_free as a number. KB, MB, … are powers of 1000; KiB, MiB, … of 1024.
func (g DiskGate) Bytes() uint64 {
	parse := units.FromHumanSize
	if strings.Contains(g.MinFree, "i") {
		parse = units.RAMInBytes
	}
	bytes, _ := parse(g.MinFree) // validated
	return uint64(max(bytes, 0)) //nolint:gosec // not negative
}

// validateScan finds a login that is not whole, and patterns that match nothing.
func (v *validator) validateScan() {
	const at = "deployment.gates.vulnerabilities"
	if v.config.set(at+".user_file") != v.config.set(at+".token_file") {
		v.add(at, "set both, or none", "%s has only one of user_file and token_file", at)
	}
	if v.config.set(at+".user_file") && !v.config.set(at+".registry") {
		v.add(at+".user_file", "add registry: https://harbor.example.com", "%s has a login, but does not set the registry", at)
	}
	for _, pattern := range v.config.Deployment.Gates.Vulnerabilities.Except {
		if _, err := path.Match(pattern, ""); err != nil {
			v.add(at+".except", "write a pattern such as docker.io/library/*", "%s.except: %q is not a valid pattern", at, pattern)
		}
	}
}

// validateGates finds contradictions in the gates of config.yml.
func (v *validator) validateGates() {
	const key = "deployment.gates"
	v.validateScan()
	if v.config.Deployment.Gates.Database && v.config.Database.Host == "" && !v.config.set("database.host") {
		v.add(key+".database", "add database.host, or remove the key", "%s.database is true, but database.host is not set", key)
	}
}
