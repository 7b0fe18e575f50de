package agent

import (
	"errors"
	"io/fs"
	"slices"

	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// ReadSecretFiles reads the node's SOPS files as they stand in git.
func ReadSecretFiles(node *manifests.Node) ([]secrets.File, error) {
	files := make([]secrets.File, 0, len(node.SecretFiles))
	for _, path := range node.SecretFiles {
		data, err := fs.ReadFile(node.FS, path)
		if err != nil {
			return nil, fault.New(fault.Place{File: path}, "", "read secret file: %w", err)
		}
		files = append(files, secrets.File{Path: path, Data: data})
	}
	return files, nil
}

// OpenSecrets decrypts the node's SOPS files in memory. Without a keyring it
// reads only what they say without one. A required secret that is missing is an
// error.
func OpenSecrets(node *manifests.Node, keys *secrets.Keyring) (*secrets.Set, error) {
	files, err := ReadSecretFiles(node)
	if err != nil {
		return nil, err
	}
	open := secrets.Seal
	if keys != nil {
		open = keys.Open
	}
	set, err := open(files, secrets.Options{AllowPlaintext: node.Config.AllowPlaintextSecrets})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkRequired(node, set), checkSecrets(node, set)); err != nil {
		set.Wipe()
		return nil, err
	}
	return set, nil
}

// Render gives what a node should run, from a tree of files: the offline way
// through the stages that the daemon takes one by one. keys may be nil.
func Render(fsys fs.FS, settings *settings.Settings, keys *secrets.Keyring) (*compose.Stack, error) {
	node, err := manifests.Load(fsys, settings.Environment, settings.Node)
	if err != nil {
		return nil, err
	}
	set, err := OpenSecrets(node, keys)
	if err != nil {
		return nil, err
	}
	return compose.Render(node, set, compose.Options{AllowLive: true})
}

// Checked is what Check found about one node.
type Checked struct {
	Environment string    `json:"environment"`
	Node        string    `json:"node"`
	Services    int       `json:"services"`
	Secrets     int       `json:"secrets"`
	Files       int       `json:"files,omitempty"` // searched for secrets in the clear
	Problems    []Problem `json:"problems,omitempty"`
	Warnings    []Problem `json:"warnings,omitempty"`

	idleWaves []Problem // entries of deployment.waves that name no service of this node
}

// Problem is one fault or warning of a check.
type Problem struct {
	Place   fault.Place `json:"place"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// Check validates one node without an engine and without keys.
func Check(fsys fs.FS, environment, name string) Checked {
	checked := Checked{Environment: environment, Node: name}
	node, err := manifests.Load(fsys, environment, name)
	if err != nil {
		checked.Problems = problems(err)
		return checked
	}
	set, err := OpenSecrets(node, nil)
	if err != nil {
		checked.Problems = problems(err)
		return checked
	}
	stack, err := compose.Render(node, set, compose.Options{AllowSealed: true})
	if err == nil {
		err = checkServices(node, stack)
	}
	if err != nil {
		checked.Problems = problems(err)
		return checked
	}
	checked.Services, checked.Secrets = len(stack.Services), len(stack.Secrets)
	for _, warning := range stack.Warnings {
		checked.Warnings = append(checked.Warnings, problem(warning))
	}
	if len(node.Config.Nodes) > 1 { // else the stack's warnings have them
		for _, warning := range node.Config.IdleWaves(stack.Short()) {
			checked.idleWaves = append(checked.idleWaves, problem(warning))
		}
	}
	return checked
}

// WarnIdleWaves warns, at the first of an environment's nodes, of the entries of
// deployment.waves that name no service of any of them.
func WarnIdleWaves(nodes []Checked) {
	for i, node := range nodes {
		if len(node.Problems) > 0 {
			return // nobody knows its services
		}
		if i > 0 {
			nodes[0].idleWaves = slices.DeleteFunc(nodes[0].idleWaves, func(p Problem) bool { return !slices.Contains(node.idleWaves, p) })
		}
	}
	if len(nodes) > 0 {
		nodes[0].Warnings = append(nodes[0].Warnings, nodes[0].idleWaves...)
	}
}

func problems(err error) []Problem {
	var all []Problem
	for _, one := range fault.All(err) {
		all = append(all, problem(one))
	}
	return all
}

func problem(err error) Problem {
	var f *fault.Error
	if errors.As(err, &f) && f.Error() == err.Error() {
		return Problem{Place: f.Place, Message: f.Message, Hint: fault.Hint(err)}
	}
	return Problem{Message: err.Error(), Hint: fault.Hint(err)}
}

// Unreadable is the result for an environment whose nodes cannot be listed.
func Unreadable(environment string, err error) Checked {
	return Checked{Environment: environment, Problems: problems(err)}
}
