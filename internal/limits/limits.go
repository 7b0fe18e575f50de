// Package limits is how much of anything the agent reads, and for how long: it takes the
// mapping `limits` of agent.yml and gives numbers. The defaults are generous for real
// repositories. An error about a limit wraps ErrExceeded, and names the limit, what was
// measured and what is allowed.
package limits

import (
	"sync"
	"time"
)

// Limits bound what is read of git, GitLab and other servers. The tags give the name in
// agent.yml, the default, and a text for people.
type Limits struct {
	// One revision, as git sends it.
	FetchBytes Bytes `name:"fetch_bytes" default:"128MiB" help:"what one fetch may receive, and the same decompressed"`
	RefsBytes  Bytes `name:"refs_bytes" default:"32MiB" help:"the list of the branches and tags of the remote"`
	Objects    int   `name:"objects" default:"200000" help:"files, folders, commits and tags of one fetch"`

	// The files of a node.
	FileBytes      Bytes `name:"file_bytes" default:"4MiB" help:"one file of the repository"`
	YAMLBytes      Bytes `name:"yaml_bytes" default:"2MiB" help:"config.yml, or one compose file"`
	VariablesBytes Bytes `name:"variables_bytes" default:"384KiB" help:"node.env, or another file with variables for the compose files"`
	YAMLDepth      int   `name:"yaml_depth" default:"50" help:"mappings and lists within each other"`
	YAMLValues     int   `name:"yaml_values" default:"500000" help:"keys, values and variables of all compose files together, with what aliases, extends and env_files repeat"`
	ConfigValues   int   `name:"config_values" default:"20000" help:"keys and values of config.yml, with what aliases repeat"`
	Includes       int   `name:"includes" default:"500" help:"files that compose files include and extend"`
	Nesting        int   `name:"nesting" default:"20" help:"variables within the defaults of variables: ${A:-${B:-c}} has 2"`
	Brackets       int   `name:"brackets" default:"200" help:"brackets within each other in node.env, also in its comments"`
	Variables      int   `name:"variables" default:"500" help:"variables in one value"`

	// The rendered stack.
	ValueBytes Bytes `name:"value_bytes" default:"1MiB" help:"one value after its variables are replaced"`
	StackBytes Bytes `name:"stack_bytes" default:"32MiB" help:"all values of a stack, or of its settings"`
	Ports      int   `name:"ports" default:"20000" help:"ports in the ranges of ports of a stack"`
	Services   int   `name:"services" default:"1000" help:"services of a stack"`

	// SOPS.
	Recipients int   `name:"recipients" default:"100" help:"recipients of one SOPS file"`
	PGPBytes   Bytes `name:"pgp_bytes" default:"64KiB" help:"a decrypted PGP message, which has only a data key"`

	// Other servers.
	AnswerBytes Bytes `name:"answer_bytes" default:"16MiB" help:"the decompressed answer of GitLab to one question, one row of a database, or what a mail server says"`

	// The process.
	MemoryBytes Bytes `name:"memory_bytes" default:"800MiB" help:"memory that the daemon tries to stay below; the unit's MemoryMax is above it"`

	// The stages of a sync.
	FetchTime   time.Duration `name:"fetch_time" default:"5m" help:"one exchange with the git remote"`
	LoadTime    time.Duration `name:"load_time" default:"1m" help:"the stage load"`
	DecryptTime time.Duration `name:"decrypt_time" default:"5m" help:"the stage decrypt"`
	RenderTime  time.Duration `name:"render_time" default:"2m" help:"the stage render"`
	PlanTime    time.Duration `name:"plan_time" default:"10m" help:"the stage plan"`
	GateTime    time.Duration `name:"gate_time" default:"10m" help:"the stages gate and guard, not the wait for a gate"`
	ApplyTime   time.Duration `name:"apply_time" default:"24h" help:"the stage apply, with the waits between waves"`
	VerifyTime  time.Duration `name:"verify_time" default:"24h" help:"the stage verify; config.yml sets the shorter timeouts of services and checks"`
}

// Default gives the limits of an agent.yml that names none.
func Default() Limits { return defaults() }

// defaults are read once: each read of a file asks for its limit.
var defaults = sync.OnceValue(func() Limits {
	var l Limits
	for _, one := range l.all() {
		if err := one.set(one.standard); err != nil {
			panic("limits: the default of " + one.name + " cannot be read") // a test reads them all
		}
	}
	return l
})

// OrDefault gives the default limits for the zero Limits.
func (l Limits) OrDefault() Limits {
	if l == (Limits{}) {
		return Default()
	}
	return l
}
