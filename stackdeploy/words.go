package stackdeploy

import (
	"cmp"
	"errors"
	"strings"

	"coin.internal/coin-agent/internal/fault"
)

// words replaces what the texts of other packages say of the agent's settings, config.yml and
// commands, which do not count here.
var words = strings.NewReplacer(
	"; with images.missing: warn in config.yml the agent rolls out without it", "",
	"name a file with a login in registry_config_file", "log in with `docker login`, and add -u, which sends the login",
	"its last lines are in `agent status`; the rest:", "all of its output:",
	"make sure that this node can reach it", "make sure that the engine can reach it",
	"; `agent doctor` checks that this node can reach it and log in", "",
	"and the next sync creates them", "and the next deployment creates them",
	"run the agent as root or as a member", "run the command as root or as a member",
	"; or run the agent on a manager", "; or name a manager with -n",
	", or point the agent at a manager", ", or name a manager with -n",
	"the agent has no key", "there is no key",
)

// inWords gives the faults in words that fit a deployment by hand. Those without a class get
// this one.
func inWords(err error, class fault.Code) error {
	var all []error
	for _, one := range fault.All(err) {
		code := cmp.Or(fault.CodeOf(one), class)
		one = &fault.Error{Message: words.Replace(one.Error()), Hint: words.Replace(fault.Hint(one)), Err: one}
		all = append(all, fault.WithCode(one, code))
	}
	return errors.Join(all...)
}
