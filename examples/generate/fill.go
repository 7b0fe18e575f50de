package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// accounts are values that every node needs. A node with a secrets.override.enc has
// them there.
var accounts = [...]string{"API_KEY", "DATABASE_PASSWORD", "JWT_SECRET"}

// wholeFiles are secrets in a separate SOPS file, secrets/<name>.enc.
var wholeFiles = [...]string{"dhparam.pem", "scheme.p12"}

var versionVariable = regexp.MustCompile(`\$(SV_\w+)$`)

// fill adds values for the secrets in the node's compose files that have none.
func fill(node string, env environment, key key) error {
	wanted, err := mentioned(node)
	if err != nil {
		return err
	}
	values := yamlFile(filepath.Join(node, "secrets.enc"), key)
	override := yamlFile(filepath.Join(node, "secrets.override.enc"), key)
	override.unencrypted = unencryptedVersions
	for _, file := range []*sopsFile{values, override} {
		if err := file.read(); err != nil {
			return err
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(env.versions)) {
		override.add(variable, env.versions[variable])
	}
	for _, file := range slices.Sorted(maps.Keys(wanted)) {
		version, _ := override.get(wanted[file]).(int)
		switch {
		case slices.Contains(wholeFiles[:], file):
			if err := fillWhole(filepath.Join(node, "secrets", file+".enc"), key, version); err != nil {
				return err
			}
		case slices.Contains(accounts[:], file) && env.versions != nil:
			override.add(file, madeUp(version))
		default:
			values.add(file, madeUp(version))
		}
	}
	if err := values.write(); err != nil {
		return err
	}
	return override.write()
}

func fillWhole(path string, key key, version int) error {
	file := binaryFile(path, key)
	if err := file.read(); err != nil {
		return err
	}
	content := madeUp(version)
	if filepath.Ext(path[:len(path)-len(".enc")]) == ".p12" {
		content += string(random(256)) // a key store is not text
	}
	file.add("data", content)
	return file.write()
}

// mentioned maps the secret files of the node's compose files to the variables of
// their versions.
func mentioned(node string) (map[string]string, error) {
	paths, err := filepath.Glob(filepath.Join(node, "*.y*ml"))
	if err != nil {
		return nil, err
	}
	wanted := map[string]string{}
	for _, file := range paths {
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var compose struct {
			Secrets map[string]struct{ File, Name string }
		}
		if err := yaml.Unmarshal(content, &compose); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		for key, secret := range compose.Secrets {
			variable := versionVariable.FindStringSubmatch(secret.Name)
			if secret.File == "" || variable == nil {
				return nil, fmt.Errorf("read %s: secret %s has no file or no version in its name", file, key)
			}
			wanted[path.Base(secret.File)] = variable[1]
		}
	}
	return wanted, nil
}

// madeUp returns a random value. The demo program shows its first line.
func madeUp(version int) string {
	return fmt.Sprintf("version: %d\nnote: made up for the example, opens nothing\nvalue: %s\n", version, hex.EncodeToString(random(24)))
}

func random(size int) []byte {
	content := make([]byte, size)
	rand.Read(content)
	return content
}
