package manifests

import (
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Gates is the section `deployment.gates`.
type Gates struct {
	Tag             TagGate           `yaml:"tag" doc:"What the release's TAG has to look like."`
	Images          bool              `yaml:"images" doc:"Whether the image of each service that is written has to be in its registry. Without it: true in an environment of type production, else false."`
	Vulnerabilities VulnerabilityGate `yaml:"vulnerabilities" doc:"Which vulnerabilities that a Harbor has found in these images block a rollout. Without it, no Harbor is asked."`
	Disk            DiskGate          `yaml:"disk" doc:"How much has to be free on the node's disks."`
	Database        bool              `yaml:"database" doc:"Whether the database of the section database has to answer. Without it: true in an environment of type production that names database.host, else false."`
	Preflight       bool              `yaml:"preflight" default:"true" doc:"Whether those probes of agent doctor that matter to a rollout are made before each."`
}

// TagGate is the section `deployment.gates.tag`.
type TagGate struct {
	Pattern string `yaml:"pattern" format:"regexp" doc:"The regular expression that TAG has to match; an empty one for any. Without it: ^\\d{4}-\\d{2}-\\d{2}-[a-f0-9]{10}$ in an environment of type production, else any."`
}

// NoAnswer says what follows when nobody knows an image's vulnerabilities.
type NoAnswer string

// The two answers to none.
const (
	NoAnswerBlock NoAnswer = "block"
	NoAnswerWarn  NoAnswer = "warn"
)

// VulnerabilityGate is the section `deployment.gates.vulnerabilities`.
type VulnerabilityGate struct {
	Registry   string   `yaml:"registry" format:"https" doc:"The Harbor to ask. Without it, the registry that the image's name begins with."`
	Severity   string   `yaml:"severity" enum:"Critical|High|Medium|Low|none" default:"Critical" doc:"The least severity that blocks. none: nothing blocks, and what is found from High on is a warning."`
	OnNoAnswer NoAnswer `yaml:"on_no_answer" enum:"block|warn" default:"block" doc:"What follows when Harbor does not answer, does not know the image, or has not scanned it: the rollout is held back and tried again, or goes on with a warning."`
	Except     []string `yaml:"except" doc:"Images that are not asked about, without tag, as docker.io/library/postgres or with * for a part between slashes."`
	UserFile   string   `yaml:"user_file" format:"plainfile" doc:"The file in the agent's check_dir with the user's name, such as robot$agent. Without it, the login of registry_config_file for that Harbor."`
	TokenFile  string   `yaml:"token_file" format:"plainfile" doc:"The file in the agent's check_dir with that user's secret."`
	CAFile     string   `yaml:"ca_file" format:"plainfile" doc:"The file in the agent's check_dir with the certificates, in PEM, that vouch for Harbor. Without it, the agent's ca_file and the system's."`

	Asked bool // config.yml has the section
}

// DiskGate is the section `deployment.gates.disk`.
type DiskGate struct {
	MinFree string `yaml:"min_free" format:"size" default:"1GB" doc:"How much has to be free, such as 5GB or 512MiB; 0B for no bound."`
	Path    string `yaml:"path" format:"absolute" doc:"A folder on the file system that is looked at. Without it: the engine's data root where the engine is on this machine, and the agent's state_dir."`
}

// releaseTag is what a release's TAG looks like (seed, section 9.2).
const releaseTag = `^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`

// ReleaseGates gives the section `deployment.gates` with what follows from the
// environment's type where it says nothing.
func (c *Config) ReleaseGates() Gates {
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

// Excepts tells whether an image is not asked about; it is named without tag and
// digest.
func (g VulnerabilityGate) Excepts(image string) bool {
	for _, pattern := range g.Except {
		if matched, _ := path.Match(pattern, image); matched { // validated
			return true
		}
	}
	return false
}

// Bytes is min_free as a number.
func (g DiskGate) Bytes() uint64 {
	bytes, _ := parseSize(g.MinFree) // validated
	return bytes
}

var sizeText = regexp.MustCompile(sizePattern)

const sizePattern = `^([0-9]{1,6}(?:\.[0-9]{1,3})?) ?([KMGT]i?)?B$`

// parseSize reads a size: KB and the like are powers of 1000, KiB of 1024.
func parseSize(text string) (uint64, bool) {
	parts := sizeText.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	number, err := strconv.ParseFloat(parts[1], 64)
	if err != nil {
		return 0, false
	}
	base := 1000.0
	if strings.HasSuffix(parts[2], "i") {
		base = 1024
	}
	power := 0
	if parts[2] != "" {
		power = 1 + strings.Index("KMGT", parts[2][:1])
	}
	return uint64(number * math.Pow(base, float64(power))), true
}

func (c *Config) validateGates(found *faults) {
	const key = "deployment.gates"
	at := key + ".vulnerabilities"
	if c.set(at+".user_file") != c.set(at+".token_file") {
		found.add(c.Place(at), "name both, or none", "%s names only one of user_file and token_file", at)
	}
	if c.set(at+".user_file") && !c.set(at+".registry") {
		found.add(c.Place(at+".user_file"), "add registry: https://harbor.example.com", "%s has a login, but does not say for which Harbor", at)
	}
	for _, pattern := range c.Deployment.Gates.Vulnerabilities.Except {
		if _, err := path.Match(pattern, ""); err != nil {
			found.add(c.Place(at+".except"), "write it as docker.io/library/*", "%s.except: %q is no pattern", at, pattern)
		}
	}
	if c.Deployment.Gates.Database && c.Database.Host == "" && !c.set("database.host") {
		found.add(c.Place(key+".database"), "add database.host, or remove the key", "%s.database is true, but the section database names no host", key)
	}
}
