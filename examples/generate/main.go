// Command generate makes the encrypted parts of the example: the test keys,
// .sops.yaml, and a SOPS file with the secrets of each node's compose files. It only
// adds what is missing, so a second run changes nothing.
//
//	go run ./examples/generate [DIR]
//
// DIR is the folder of the examples, ./examples by default.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// environment is an environment of the repository: its key, and the secret versions
// above 0. Without versions, its nodes have no secrets.override.enc.
type environment struct {
	name     string
	key      func(dir, name string) (key, error)
	versions map[string]int
}

func environments() []environment {
	return []environment{
		{name: "development", key: ageKeyOf},
		{name: "sandbox", key: ageKeyOf, versions: map[string]int{
			"SV_card_iv": 1, "SV_db_access": 2, "SV_webhook_auth": 1,
			"SV_server_admin_crt": 1, "SV_server_admin_key": 1,
		}},
		{name: "testing", key: ageKeyOf, versions: map[string]int{"SV_card_iv": 1, "SV_db_access": 1}},
		{name: "production", key: pgpKeyOf, versions: map[string]int{
			"SV_card_iv": 3, "SV_db_access": 4, "SV_webhook_auth": 2,
			"SV_server_admin_crt": 2, "SV_server_admin_key": 2,
		}},
	}
}

func main() {
	dir := "examples"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := run(dir); err != nil {
		fmt.Fprintf(os.Stderr, "generate: error: %v\n", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	var rules strings.Builder
	rules.WriteString("# The keys that decrypt the secrets of each environment. Made by examples/generate.\ncreation_rules:\n")
	for _, env := range environments() {
		key, err := env.key(filepath.Join(dir, "keys"), env.name)
		if err != nil {
			return fmt.Errorf("open key of %s: %w", env.name, err)
		}
		writeRules(&rules, env, key)
		nodes, err := filepath.Glob(filepath.Join(dir, "coin-gitops", "environments", env.name, "nodes", "*"))
		if err != nil || len(nodes) == 0 {
			return fmt.Errorf("find nodes of %s below %s: %w", env.name, dir, os.ErrNotExist)
		}
		for _, node := range nodes {
			if err := fill(node, env, key); err != nil {
				return fmt.Errorf("fill %s: %w", node, err)
			}
		}
	}
	return writeChanged(filepath.Join(dir, "coin-gitops", ".sops.yaml"), []byte(rules.String()), 0o644)
}

func writeRules(rules *strings.Builder, env environment, key key) {
	fmt.Fprintf(rules, "  # %s\n", env.name)
	fmt.Fprintf(rules, "  - path_regex: environments/%s/.*/secrets\\.override\\.enc$\n", env.name)
	fmt.Fprintf(rules, "    %s\n    unencrypted_regex: %s # versions stay readable for reviews\n", key.rule(), unencryptedVersions)
	fmt.Fprintf(rules, "  - path_regex: environments/%s/.*/secrets(/.*)?\\.enc$\n    %s\n", env.name, key.rule())
}

// writeChanged writes the file if its content differs.
func writeChanged(path string, content []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(content) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, mode)
}
