package paritytest

import "regexp"

// rule explains a difference that docs/parity-tests.md lists.
type rule struct {
	reason string
	match  *regexp.Regexp
}

// takenByUs lists errors of the docker CLI for files that Render accepts.
var takenByUs = []rule{
	{"a key that is newer than the file's version", regexp.MustCompile(`Additional property (start_interval|oom_score_adj|driver_opts|pids) is not allowed`)},
	{"a version that docker does not know, or another in each file", regexp.MustCompile(`unsupported Compose file version|version mismatched`)},
	{"a top-level name", regexp.MustCompile(`\(root\) Additional property name is not allowed`)},
	{"content of a config", regexp.MustCompile(`configs.\w+ Additional property content is not allowed`)},
	{"profiles", regexp.MustCompile(`Additional property profiles is not allowed`)},
	{"extends within the file", regexp.MustCompile(`forbidden properties`)},
	{"env_file with path and required", regexp.MustCompile(`env_file.0 must be a string`)},
	{"keys that Swarm has and docker's schema has not", regexp.MustCompile(`Additional property (group_add|dns_opt|label_file) is not allowed`)},
	{"booleans as text", regexp.MustCompile(`(environment|labels|options)\.\w+ must be a string, number or null`)},
	{"published as text, cpus as a number", regexp.MustCompile(`published must be a integer|cpus must be a string`)},
	{"a variable where docker casts none", regexp.MustCompile(`init must be a boolean`)},
	{"${NAME:+alternative}", regexp.MustCompile(`invalid interpolation format for \S+: "\$\{SET:\+alt\}"`)},
	{"a mode as text", regexp.MustCompile(`(secrets|configs)\.0\.mode must be a number`)},
	{"a dollar that does not start a name", regexp.MustCompile(`invalid interpolation format for \S+: "\$1"`)},
}

// refusedByUs lists errors of Render for files that the docker CLI accepts. The engine
// refuses some of them.
var refusedByUs = []rule{
	{"cgroupns_mode, which Compose calls cgroup", regexp.MustCompile(`cgroupns_mode is not a key of Compose`)},
	{"a mount or port without a target", regexp.MustCompile(`is missing a (mount target|target port)`)},
	{"a service name that Swarm refuses", regexp.MustCompile(`Swarm does not accept the service name`)},
	{"a secret file as a config", regexp.MustCompile(`secrets/key contains secrets`)},
	{"a bind source outside base.bind_root", regexp.MustCompile(`the bind source \S+ (means a home directory|leaves)`)},
	{"a variable that is not set", regexp.MustCompile(`the variable UNSET is not set and has no default`)},
}

// intendedFields lists intended differences in a field.
var intendedFields = []rule{}
