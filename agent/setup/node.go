package setup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// askEnvironment asks which node this is, among those that the repository has.
func (s *Setup) askEnvironment(ctx context.Context) error {
	environments, err := manifests.Environments(s.checkout.FS)
	if err != nil {
		return err
	}
	if len(environments) == 0 {
		return fault.New(fault.Place{}, "`agent init --repository ./DIR` makes the files of a first node", "the repository has no environment")
	}
	on := s.Settings
	question := Question{Setting: "environment", Text: "environment", Choices: environments, Default: preferred(environments, "")}
	if err := s.ask(ctx, &on.Environment, question); err != nil {
		return err
	}
	if !slices.Contains(environments, on.Environment) {
		return nil // the probe says so
	}
	nodes, err := manifests.Nodes(s.checkout.FS, on.Environment)
	if err != nil {
		return err
	}
	return s.ask(ctx, &on.Node, Question{Setting: "node", Text: "node", Choices: nodes, Default: preferred(nodes, hostName())})
}

// probeNode reads the node's files.
func (s *Setup) probeNode(context.Context) (string, error) {
	on := s.Settings
	environments, err := manifests.Environments(s.checkout.FS)
	if err != nil {
		return "", err
	}
	if !slices.Contains(environments, on.Environment) {
		return "", fault.New(fault.Place{}, "choose one of "+strings.Join(environments, ", "), "the repository has no environment %q", on.Environment)
	}
	nodes, err := manifests.Nodes(s.checkout.FS, on.Environment)
	if err != nil {
		return "", err
	}
	if !slices.Contains(nodes, on.Node) {
		return "", fault.New(fault.Place{}, "choose one of "+strings.Join(nodes, ", "), "the environment %s has no node %q", on.Environment, on.Node)
	}
	return fmt.Sprintf("node %s/%s, one of %d", on.Environment, on.Node, len(nodes)), nil
}

// askKeys asks for the file of the age key, unless the settings have keys.
func (s *Setup) askKeys(ctx context.Context) error {
	on := s.Settings
	if !s.again && (len(on.AgeKeyFiles)+len(on.PGPKeyFiles) > 0 || on.GnuPGHome != "") {
		return nil
	}
	file := ""
	if len(on.AgeKeyFiles) > 0 {
		file = on.AgeKeyFiles[0]
	}
	question := Question{Setting: "age_key_files", Text: "file with the age key of the secrets; it is made if it does not exist", Default: filepath.Join(s.Folder, on.Environment+".agekey")}
	if err := s.ask(ctx, &file, question); err != nil {
		return err
	}
	on.AgeKeyFiles = []string{file}
	return nil
}

// probeKeys makes the keys that do not exist, reads all, and says for whom secrets are to be
// encrypted. Secrets that the keys do not open are a warning: a user has to encrypt them first.
func (s *Setup) probeKeys(ctx context.Context) (string, error) {
	var all []string
	for _, file := range s.Settings.AgeKeyFiles {
		recipients, made, err := makeKey(file)
		if err != nil {
			return "", err
		}
		if made {
			s.Say("wrote %s", file)
		}
		all = append(all, recipients...)
	}
	keys, err := secrets.LoadKeys(s.Settings.KeyFiles())
	if err != nil {
		return "", err
	}
	if len(all) > 0 {
		s.Say("the recipient of the secrets is %s; for .sops.yaml of the repository:\n%s", strings.Join(all, ", "), sopsRules(s.Settings.Environment, all))
	}
	if err := s.On.Secrets(ctx); err != nil {
		s.Warn(fault.WithHint(errors.Join(errors.New("these keys do not open the node's secrets yet"), err),
			"in a clone of the repository, add the recipient to .sops.yaml, run `sops updatekeys` on each encrypted file of the environment (with `--input-type yaml` on files of keys in YAML), commit and push"))
	}
	return keys.String(), nil
}
