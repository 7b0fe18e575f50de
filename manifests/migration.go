package manifests

import (
	"strconv"
	"strings"
)

// MigrationCheck is the section `deployment.migration_check`.
type MigrationCheck struct {
	Enabled          bool     `yaml:"enabled" required:"true" doc:"Whether migrations are checked, and nobody goes back across them unasked."`
	Table            string   `yaml:"table" default:"schema_migrations" format:"table" doc:"The table that holds the migrations' ids, spelt as the database has it."`
	Column           string   `yaml:"column" default:"id" format:"column" doc:"Its column with the ids: whole numbers, or texts of digits."`
	ExpectedVariable string   `yaml:"expected_variable" default:"EXPECTED_MIGRATION_ID" format:"variable" doc:"The variable of node.env, or of the project settings, in which a release names the highest id that it expects."`
	User             string   `yaml:"user" doc:"Without it database.user."`
	PasswordSecret   string   `yaml:"password_secret" doc:"The node's secret that is the password."`
	PasswordFile     string   `yaml:"password_file" format:"plainfile" doc:"The same from a file in the agent's check_dir."`
	SSLMode          string   `yaml:"sslmode" enum:"disable|prefer|require|verify-full" default:"prefer" doc:"What of TLS is demanded, as psql has it."`
	TLS              CheckTLS `yaml:"tls" doc:"Which server is trusted, for sslmode: verify-full."`
}

// migrationKey is where config.yml has the section.
const migrationKey = "deployment.migration_check"

// SQL is the section as the login of a sql check has it.
func (m MigrationCheck) SQL() SQLCheck {
	return SQLCheck{User: m.User, PasswordSecret: m.PasswordSecret, PasswordFile: m.PasswordFile, SSLMode: m.SSLMode, TLS: m.TLS}
}

// Secrets lists the secrets that the migration check needs, by the key that names
// each; none where it is off.
func (m MigrationCheck) Secrets() map[string]string {
	named := map[string]string{}
	if m.Enabled && m.PasswordSecret != "" {
		named[migrationKey+".password_secret"] = m.PasswordSecret
	}
	if m.Enabled && m.TLS.CASecret != "" {
		named[migrationKey+".tls.ca_secret"] = m.TLS.CASecret
	}
	return named
}

// validateMigration finds what contradicts itself in `deployment.migration_check`.
func (c *Config) validateMigration(found *faults) {
	c.either(found, migrationKey, "password_secret", "password_file")
	c.validateTLS(found, migrationKey)
	if insecure := migrationKey + ".tls.insecure_skip_verify"; c.set(insecure) {
		found.add(c.Place(insecure), "write sslmode: require", "%s is not for databases", insecure)
	}
	if mode := c.Deployment.MigrationCheck.SSLMode; c.set(migrationKey+".tls") && mode != "verify-full" {
		found.add(c.Place(migrationKey+".tls"), "add sslmode: verify-full, or remove tls", "%s has tls, which sslmode: %s does not look at", migrationKey, mode)
	}
}

// migrations finds what a node's migration check lacks: a database to ask, and a
// release's number that is one.
func (l *loader) migrations() {
	config := l.node.Config
	check := config.Deployment.MigrationCheck
	if !check.Enabled {
		return
	}
	var lacking []string
	for _, need := range []struct{ name, value string }{
		{"database.host", config.Database.Host}, {"database.name", config.Database.Name}, {"database.user", check.User + config.Database.User},
	} {
		if need.value == "" && !config.set(need.name) {
			lacking = append(lacking, need.name)
		}
	}
	if list := strings.Join(lacking, ", "); list != "" {
		l.faults.add(config.Place(migrationKey), "add "+list+", or write enabled: false", "%s is enabled, but config.yml says nothing of %s", migrationKey, list)
	}
	l.expectMigration(check.ExpectedVariable)
}

// expectMigration notes the highest id that the release expects the database to
// have, where it names one: in node.env, or else in the project settings.
func (l *loader) expectMigration(name string) {
	variable, named := l.node.Variables[name]
	for _, s := range l.project {
		if s.name == name && !named {
			variable = Variable{Value: s.value, Place: s.place}
		}
	}
	text := strings.Trim(strings.TrimSpace(variable.Value), `"'`)
	if text == "" {
		return
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		l.faults.add(variable.Place, "write the highest migration's id, such as "+name+"=565", "%s names no migration: %q", name, text)
		return
	}
	l.node.ExpectedMigration = &id
}
