package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/settings"
	"coin.internal/coin-agent/agent/setup"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/plural"
	"coin.internal/coin-agent/internal/visible"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/policy"
)

const initHelp = `Set up this node, or the files of a first node.

On a terminal it asks for the repository, the node, the key of the secrets and GitLab; flags
and an existing agent.yml answer before. Without a terminal, flags have to answer. Each
answer is tried out. Each setting that agent run --help lists is a flag here, too. It makes
the age key if there is none, prints the recipient for .sops.yaml, and suggests the policy
that allows what runs now.

It writes agent.yml with mode: observe: the agent shows what it would do, and changes
nothing on the engine. Files that exist stay as they are. After an interruption, run the
command again: it continues with the answers so far.

With --repository and a folder that is not a bare repository, it writes the smallest
repository with a node instead, which agent check accepts.`

func initCommand(a *app) *cobra.Command {
	var force, noInput bool
	cmd := &cobra.Command{
		Use: "init", Short: "Set up this node in observe mode, or write the files of a first node", Long: initHelp, Args: noArgs,
		Example: "  agent init\n" +
			"  agent init --repository https://gitlab.example.com/coin/coin-gitops.git --git-token-file /etc/coin-agent/git.token --environment sandbox --node node3\n" +
			"  agent init --repository ./coin-gitops --environment sandbox --node node1",
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace agent.yml; the one before it is kept as agent.yml.old, .old.2 and so on")
	cmd.Flags().BoolVar(&noInput, "no-input", false, "ask nothing: flags and agent.yml have all answers")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.here("init"); err != nil {
			return err
		}
		switch address := a.settings.Repository; {
		case !a.overridden["repository"]:
		case setup.Working(address):
			return initRepository(a)
		case !strings.Contains(address, ":") && !exists(address):
			return usageError{fault.New(fault.Place{}, "write ./"+address+" for a new folder, or the whole address of a repository", "there is no repository %q here", address)}
		}
		return initNode(cmd.Context(), a, noInput, force)
	}
	return cmd
}

// initRepository writes the files of a first node, unless the agent of this machine follows them.
func initRepository(a *app) error {
	config, _ := a.configName()
	if kept, err := keptSettings(config); err == nil && kept.Repository != "" && filepath.Clean(kept.Repository) == filepath.Clean(a.settings.Repository) {
		return usageError{fault.New(fault.Place{File: config}, "name another folder, or leave --repository out to check this node", "the agent follows the repository %s: init does not write into it", kept.Repository)}
	}
	environment, node := a.settings.Environment, a.settings.Node
	if environment == "" {
		environment = "sandbox"
	}
	if node == "" {
		node = "node1"
	}
	wrote, err := setup.Skeleton(a.settings.Repository, environment, node)
	p := newPrinter(a.stdout)
	for _, name := range wrote {
		p.line("wrote %s", name)
	}
	if err != nil {
		return err
	}
	if len(wrote) == 0 {
		p.line("all files of %s/%s exist", environment, node)
	}
	if list := filepath.Join("environments", environment, "config.yml"); !listsNode(a.settings.Repository, environment, node) {
		p.line("next: add the node to the list nodes of %s:", filepath.Join(a.settings.Repository, list))
		p.line("  - {name: %s, context: %[1]s, stack: %[1]s}", node)
		p.line("then agent check %s, commit and push it", a.settings.Repository)
		return nil
	}
	p.line("next: agent check %s, then commit and push it", a.settings.Repository)
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// listsNode reports whether config.yml lists a node. Of a file that cannot be read, agent check says why.
func listsNode(repository, environment, node string) bool {
	config, err := manifests.LoadConfig(os.DirFS(repository), environment)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(config.Nodes, func(one manifests.NodeConfig) bool { return one.Name == node })
}

// draft is where the answers of an interrupted setup are kept.
func draft(config string) string { return config + ".draft" }

// continues reports whether a setup continues with the draft: there are no settings yet, or force
// replaces them and the draft is newer.
func continues(config string, force bool) bool {
	kept, err := os.Stat(draft(config))
	if err != nil {
		return false
	}
	settings, err := os.Stat(config)
	return errors.Is(err, fs.ErrNotExist) || err == nil && force && kept.ModTime().After(settings.ModTime())
}

// initNode sets up this node.
func initNode(ctx context.Context, a *app, noInput, force bool) error {
	config, _ := a.configName()
	config, err := filepath.Abs(config)
	if err != nil {
		return err
	}
	if err := absolutePaths(&a.settings, func(name string) bool { return a.overridden[name] }); err != nil {
		return err
	}
	keeps, err := keepsSettings(a, config, force)
	if err != nil {
		return err
	}
	deploys := !a.settings.Observes()
	if deploys && !keeps && a.overridden["mode"] {
		return usageError{fault.New(fault.Place{}, "leave --mode and COIN_AGENT_MODE out; once the agent may deploy, remove mode: observe from agent.yml", "init sets up an agent with mode: observe, not with mode: %s", a.settings.Mode)}
	}
	a.settings.Mode = settings.ModeObserve
	p := newPrinter(a.stdout)
	on := &setup.Setup{
		Settings: &a.settings, Folder: filepath.Dir(config), Person: personAt(a, noInput), On: setupDependencies(a),
		Say: func(format string, args ...any) {
			for line := range strings.Lines(fmt.Sprintf(format, args...)) {
				p.line("%s", strings.TrimSuffix(line, "\n"))
			}
		},
		Warn: func(err error) { printFault(a.stderr, "warning", err) },
		Keep: func() error { return nil },
	}
	if !keeps {
		on.Keep = func() error { return keepAnswers(a, config) }
	}
	if err := on.Run(ctx); err != nil {
		return err
	}
	if err := a.settings.Validate(); err != nil {
		return err
	}
	if keeps {
		p.line("%s exists and stays as it is", config)
	} else if old, err := writeSettings(a, config, force); err != nil {
		return err
	} else {
		if old != "" {
			p.line("kept the settings before as %s", old)
		}
		p.line("wrote %s, with mode: observe", config)
	}
	if keeps && deploys {
		on.Warn(fault.New(fault.Place{File: config}, "add mode: observe to it, to see first what the agent would change", "it has no mode: observe: the agent deploys when it starts"))
		p.line("next: agent doctor and agent diff; then systemctl enable --now coin-agent, which deploys")
		return nil
	}
	p.line("next: agent doctor; then systemctl enable --now coin-agent, and agent status shows what the agent would change")
	return nil
}

// keepsSettings reports whether there are settings that stay. It refuses answers that differ
// from them, and to replace what init does not write.
func keepsSettings(a *app, config string, force bool) (bool, error) {
	if _, err := os.Lstat(config); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if force {
		_, err := a.settings.YAML()
		return false, fault.WithHint(err, "edit "+config+" by hand")
	}
	kept, err := keptSettings(config)
	if err != nil {
		return false, err
	}
	before := kept.Fields()
	for i, field := range a.settings.Fields() {
		if field.Default() != before[i].Default() {
			return false, usageError{fault.New(fault.Place{File: config}, "edit it by hand, or replace it with --force", "it exists, and its %s is not the one of the command line", field.Name)}
		}
	}
	return true, nil
}

// keptSettings gives what a settings file alone has.
func keptSettings(config string) (settings.Settings, error) {
	kept := settings.Default()
	data, err := os.ReadFile(config)
	if err == nil {
		err = kept.ReadYAML(config, data)
	}
	return kept, err
}

// settingsHeader begins the settings that init writes.
const settingsHeader = `# Written by agent init. packaging/agent.yml lists every setting; docs/install.md is about the
# first day. In mode: observe the agent changes nothing on the engine: to have it deploy, remove
# that line, and restart the agent.
`

// keepAnswers keeps the answers so far.
func keepAnswers(a *app, config string) error {
	text, err := absoluteYAML(a)
	if err != nil {
		return err
	}
	if err := os.Remove(draft(config)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err = setup.Write(draft(config), []byte(text), 0o600)
	return err
}

// writeSettings writes the settings, and removes the draft of them. It gives the name of the file
// before, if it replaced one.
func writeSettings(a *app, config string, force bool) (old string, err error) {
	text, err := absoluteYAML(a)
	if err != nil {
		return "", err
	}
	content := []byte(settingsHeader + text)
	wrote := true
	if force {
		old, err = setup.Replace(config, content, 0o600)
	} else {
		wrote, err = setup.Write(config, content, 0o600)
	}
	if err == nil && !wrote {
		err = fault.New(fault.Place{File: config}, "run the command again", "another process wrote it meanwhile")
	}
	if err != nil {
		return old, err
	}
	if err := os.Remove(draft(config)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return old, err
	}
	return old, nil
}

// setupDependencies gives what a setup tries out besides git.
func setupDependencies(a *app) setup.Dependencies {
	return setup.Dependencies{
		Engine: func(ctx context.Context) (string, error) {
			engine, err := a.connect()
			if err != nil {
				return "", err
			}
			defer func() { _ = engine.Close() }()
			info, err := engine.Ready(ctx)
			return fmt.Sprintf("Docker %s at %s, a manager of a Swarm of %s", info.EngineVersion, a.settings.Engine, plural.Count(info.Nodes, "node")), err
		},
		Secrets: func(ctx context.Context) error {
			files, closer, err := (&checkoutFlags{}).files(ctx, a)
			if err != nil {
				return err
			}
			defer closer()
			state, err := desired.Load(ctx, files, a.nodeOptions())
			if err != nil {
				return nil // what is wrong with the files, `agent doctor` says
			}
			defer state.Wipe()
			return state.Decrypt(ctx)
		},
		GitLab: func(ctx context.Context) (string, error) { return probeGitLab(ctx, a) },
		Policy: func(ctx context.Context) (*policy.Policy, string, error) { return suggestPolicy(ctx, a) },
	}
}

// probeGitLab says whose token it is, and until when.
func probeGitLab(ctx context.Context, a *app) (string, error) {
	if err := a.settings.Validate(); err != nil {
		return "", err
	}
	client, err := a.gitLab()
	if err != nil {
		return "", err
	}
	token, err := client.Token(ctx)
	if err != nil {
		return "", err
	}
	agents, err := client.Agents(ctx)
	if err != nil {
		return "", err
	}
	until := "does not expire"
	if !token.ExpiresAt.IsZero() {
		until = "expires " + token.ExpiresAt.Format("2006-01-02")
	}
	return fmt.Sprintf("GitLab accepts the token of %s, which %s", visible.Line(fmt.Sprint(agents)), until), nil
}

// suggestPolicy gives the least policy that allows what runs now, or what the files ask for where
// nothing runs.
func suggestPolicy(ctx context.Context, a *app) (*policy.Policy, string, error) {
	one, err := onlyStack(sealedStacks(ctx, a, checkoutFlags{}))
	if err != nil {
		return nil, "", err
	}
	stack := one.Stack
	source := "what runs of the stack " + stack.Name
	switch live, err := runningStack(ctx, a, stack); {
	case err == nil:
		stack = live
	case errors.Is(err, errNothingRuns):
		source = "what the repository asks for: nothing of the stack " + stack.Name + " runs"
	default:
		source = "what the repository asks for: what runs of the stack " + stack.Name + " is not known: " + err.Error()
	}
	return policy.Suggest(policy.Subject{Stack: stack, Node: one.State.Node, Engine: a.settings.Engine}), source, nil
}
