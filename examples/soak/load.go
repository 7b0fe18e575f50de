package main

import (
	"fmt"
	"strings"

	"filippo.io/age"
	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	sopsage "github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/yaml"

	"coin.internal/coin-agent/internal/sopsfiletest"
)

const (
	environment = "sandbox"
	node        = "node3"
	folder      = "environments/" + environment + "/nodes/" + node + "/"
)

// load is a stack of services without tasks: each has project settings, an environment, labels,
// a health check, a network and a secret.
type load struct {
	services int
	tags     []int // of the image of each service
}

func newLoad(services int) *load { return &load{services: services, tags: make([]int, services)} }

// changeAll gives node.env with another image for every service.
func (l *load) changeAll() string {
	for i := range l.tags {
		l.tags[i]++
	}
	return l.nodeEnv()
}

// changeOne gives node.env with another image for one service, in turn.
func (l *load) changeOne(n int) string {
	l.tags[n%l.services]++
	return l.nodeEnv()
}

func (l *load) nodeEnv() string {
	var b strings.Builder
	b.WriteString("export TAG=0\n")
	for i, tag := range l.tags {
		fmt.Fprintf(&b, "export TAG_APP_%d=%d\n", i, tag)
	}
	return b.String()
}

// files are the files of the repository.
func (l *load) files(recipient string) (map[string]string, error) {
	sealed, err := l.secrets(recipient)
	return map[string]string{
		"environments/" + environment + "/config.yml": `environment: {name: sandbox, type: non-production}
nodes:
  - {name: node3, context: ctx3, stack: soak}
deployment: {gates: {images: false}}
images: {resolve: never, missing: warn}
`,
		"environments/" + environment + "/common/project.env": settings(50),
		folder + "node.env":           l.nodeEnv(),
		folder + "docker-compose.yml": l.compose(),
		folder + "secrets.enc":        sealed,
	}, err
}

func settings(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "SETTING_%d=value %d\n", i, i)
	}
	return b.String()
}

func (l *load) compose() string {
	var file, objects strings.Builder
	file.WriteString(`x-app: &app
  env_file: $PROJECT_SETTINGS
  networks: [back]
  deploy:
    replicas: 0
    endpoint_mode: dnsrr
    resources: {limits: {cpus: "0.5", memory: 64M}}
    restart_policy: {condition: on-failure}
  healthcheck: {test: [CMD, /app, health], interval: 3s}
  logging: {driver: json-file, options: {max-size: 10m}}
networks:
  back: {driver: overlay}
services:
`)
	objects.WriteString("secrets:\n")
	for i := range l.services {
		fmt.Fprintf(&file, `  app%[1]d:
    <<: *app
    image: registry.example/app:$TAG_APP_%[1]d
    environment: {NAME: app%[1]d, RELEASE: $TAG_APP_%[1]d}
    labels: {number: "%[1]d"}
    secrets:
      - {source: key%[1]d, target: key, uid: "1000", mode: 0400}
`, i)
		fmt.Fprintf(&objects, "  key%[1]d: {file: ./secrets/key%[1]d, name: soak_key%[1]d.$SV_key%[1]d}\n", i)
	}
	return file.String() + objects.String()
}

// secrets gives the SOPS file with a secret for each service.
func (l *load) secrets(recipient string) (string, error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("encrypt the secrets: %w", err) }
	var branch sops.TreeBranch
	for i := range l.services {
		branch = append(branch, sops.TreeItem{Key: fmt.Sprintf("key%d", i), Value: fmt.Sprintf("version: 0\nsecret %d", i)})
	}
	master, err := sopsage.MasterKeyFromRecipient(recipient)
	if err != nil {
		return fail(err)
	}
	tree := sopsfiletest.New(branch, master, "")
	dataKey, errs := tree.GenerateDataKey()
	if len(errs) > 0 {
		return fail(errs[0])
	}
	content, err := sopsfiletest.Encrypt(yaml.NewStore(&config.YAMLStoreConfig{}), tree, dataKey, aes.NewCipher())
	if err != nil {
		return fail(err)
	}
	return string(content), nil
}

// newKey gives an age identity and its recipient.
func newKey() (identity, recipient string, err error) {
	made, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("make a key: %w", err)
	}
	return made.String(), made.Recipient().String(), nil
}
