package manifests

import (
	"fmt"
	"reflect"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// floorKeys are the keys of config.yml that a node's floor may set.
type floorKeys struct {
	Environment           floorEnvironment `yaml:"environment"`
	Approval              Approval         `yaml:"approval"`
	Freeze                []Freeze         `yaml:"freeze"`
	Deployment            floorDeployment  `yaml:"deployment"`
	AllowPlaintextSecrets bool             `yaml:"allow_plaintext_secrets"`
}

type floorEnvironment struct {
	Type EnvironmentType `yaml:"type" required:"true" enum:"non-production|production" doc:"production"`
}

type floorDeployment struct {
	Order            []string       `yaml:"order"`
	AutoDeploy       bool           `yaml:"auto_deploy" default:"true"`
	ApprovalRequired bool           `yaml:"approval_required"`
	MigrationCheck   floorMigration `yaml:"migration_check"`
	Gates            Gates          `yaml:"gates"`
	Rollback         Rollback       `yaml:"rollback"`
}

type floorMigration struct {
	Enabled bool `yaml:"enabled" required:"true" doc:"true"`
}

// ReadFloor reads the gates that no commit can lift on a node, from the value of
// `policy.floor` in agent.yml. Its keys are those of config.yml, and mean the same. All
// faults are given at once, each with its line.
func ReadFloor(file string, value *yaml.Node) (*Config, error) {
	d := &decoder{file: file, places: map[string]fault.Place{}, merged: map[*yaml.Node][]pair{}}
	var keys floorKeys
	v := reflect.ValueOf(&keys).Elem()
	setDefaults(v)
	d.value(value, "", v, "")
	floor := &Config{file: file, places: d.places, Approval: keys.Approval, Freeze: keys.Freeze, AllowPlaintextSecrets: keys.AllowPlaintextSecrets}
	floor.Environment.Type = keys.Environment.Type
	floor.Deployment = Deployment{
		Strategy: Sequential, Order: keys.Deployment.Order, AutoDeploy: keys.Deployment.AutoDeploy, ApprovalRequired: keys.Deployment.ApprovalRequired,
		MigrationCheck: MigrationCheck{Enabled: keys.Deployment.MigrationCheck.Enabled},
		Gates:          keys.Deployment.Gates, Rollback: keys.Deployment.Rollback,
	}
	check := &validator{config: floor, faults: d.faults}
	check.floor()
	return floor, check.faults.err()
}

// floor finds contradictions between the keys of a floor, and keys that would hold nothing.
func (v *validator) floor() {
	v.validateApproval()
	v.reviewApproval()
	if v.config.set("approval") && len(v.config.Approvals()) == 0 {
		v.add("approval", "add required: true, or remove approval", "approval of the floor is not required")
	}
	for i, freeze := range v.config.Freeze {
		key := fmt.Sprintf("freeze[%d]", i)
		if len(freeze.Nodes) > 0 {
			v.add(key+".nodes", "remove nodes", "%s names nodes, but the floor is that of one node", key)
		}
		validateWindow(v, key, freeze)
	}
	v.validateGaps()
	v.unique("deployment.order[]", v.config.Deployment.Order)
	v.validateScan()
}
