package rollout

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coin.internal/coin-agent/agent/desired"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
	gitsync "coin.internal/coin-agent/sync"
)

// goodMaker makes the good state that a successful sync leaves.
type goodMaker struct {
	a        *attempt
	checkout *gitsync.Checkout
}

// state gives the state that a successful sync leaves, with everything that a rollback
// to it needs.
func (m goodMaker) state() (*record.GoodState, error) {
	a, config := m.a, m.a.config()
	services, err := json.Marshal(a.declared.Services)
	if err != nil {
		return nil, fmt.Errorf("record what was applied: %w", err)
	}
	networks, err := json.Marshal(a.stack.Networks)
	if err != nil {
		return nil, fmt.Errorf("record networks: %w", err)
	}
	good := &record.GoodState{
		SyncID: a.sync.ID, Commit: a.sync.Commit, Release: a.sync.Release,
		StackName: a.stack.Name, Owner: a.stack.Owner, Services: services, Networks: networks,
		Drift: string(config.Drift), Resolve: string(a.stack.Resolve), Migration: a.database.verified(), Unfit: a.changed,
		Retention: record.Retention{After: config.SecretRetention(), Versions: config.Secrets.Retention.Versions},
	}
	if deployed := a.base.Deployed; deployed != nil && len(config.Approvals()) > 0 && a.sync.Approval == nil {
		good.Approved = deployed.ApprovedCommit()
	}
	good.Vault = a.sync.Vault
	good.Secrets, good.Configs = objects(a.stack, config)
	if freezes := config.Declared.Freeze; len(freezes) > 0 {
		good.Freezes, err = json.Marshal(freezes)
	}
	if err == nil {
		good.Ignored, err = ignoredFields(a)
	}
	return good, errors.Join(err, noteFiles(good, m.checkout, a.desired.Node), noteRules(good, a.desired.Node))
}

// objects gives the secrets and configs of a stack, sorted by name.
func objects(stack *compose.Stack, config *manifests.Config) (secrets, configs []record.Object) {
	for _, secret := range stack.Secrets {
		secrets = append(secrets, record.Object{
			Name: secret.Spec.Name, Key: secret.Key, Rotate: rotationPeriod(config, secret.Key, secret.Variable),
			Vault: record.VaultRead{Path: secret.Vault.Path, Version: secret.Vault.Version, Auto: secret.Vault.Auto},
		})
	}
	for _, name := range stack.ExternalSecrets {
		secrets = append(secrets, record.Object{Name: name})
	}
	for _, config := range stack.Configs {
		configs = append(configs, record.Object{Name: config.Spec.Name, Key: config.Key})
	}
	for _, name := range stack.ExternalConfigs {
		configs = append(configs, record.Object{Name: name})
	}
	byName := func(a, b record.Object) int { return strings.Compare(a.Name, b.Name) }
	slices.SortStableFunc(secrets, byName)
	slices.SortStableFunc(configs, byName)
	return secrets, configs
}

// rotationPeriod gives the rotation period of a secret by its key, or by the name of its
// SV_ variable.
func rotationPeriod(config *manifests.Config, key, variable string) time.Duration {
	name := strings.TrimPrefix(variable, "SV_")
	if _, own := config.Secrets.RotationExceptions[key]; !own {
		if _, own := config.Secrets.RotationExceptions[name]; own {
			return config.RotationPeriod(name)
		}
	}
	return config.RotationPeriod(key)
}

// noteFiles adds to the good state the files that it was made from, as git has them. It
// leaves out a plaintext secret, also under the name of a link to it: a rollback does not
// need the file as long as Swarm has the version.
func noteFiles(good *record.GoodState, checkout *gitsync.Checkout, node *manifests.Node) error {
	contents, links, err := checkout.Files()
	if err != nil {
		return fmt.Errorf("record files: %w", err)
	}
	files, err := desired.ReadSecretFiles(node)
	if err != nil {
		return err
	}
	plain := map[string]bool{}
	for _, file := range files {
		if len(file.Data) > 0 && !secrets.Encrypted(file, node.Config.AllowPlaintextSecrets) {
			plain[string(file.Data)] = true
		}
	}
	for path, content := range contents {
		if !plain[string(content)] {
			good.Keep(path, content)
		}
	}
	for path, to := range links {
		good.KeepLink(path, to)
	}
	return nil
}

// Frozen gives the freeze of the deployed config.yml that applies now, if there is one.
func Frozen(deployed *record.GoodState, node string) (frozen manifests.Frozen, is bool, err error) {
	if deployed == nil || len(deployed.Freezes) == 0 {
		return frozen, false, nil
	}
	var freezes []manifests.Freeze
	if err := json.Unmarshal(deployed.Freezes, &freezes); err != nil {
		return frozen, false, fmt.Errorf("recall the freezes: %w", err)
	}
	frozen, is = manifests.FrozenBy(freezes, node, time.Now())
	return frozen, is, nil
}
