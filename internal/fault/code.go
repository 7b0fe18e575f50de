package fault

import "errors"

// Code names a class of errors, which share cause and remedy: `agent explain` describes it. Codes
// are stable. A class is not a message.
type Code string

// The classes.
const (
	CodeUsage     Code = "usage"     // the command line
	CodeSettings  Code = "settings"  // agent.yml, flags, environment variables
	CodeDaemon    Code = "daemon"    // no agent answers
	CodeRefused   Code = "refused"   // the agent does not grant a request
	CodeState     Code = "state"     // the state file
	CodeEngine    Code = "engine"    // the engine or its Swarm cannot be used
	CodeRegistry  Code = "registry"  // the login of a registry
	CodeGit       Code = "git"       // the remote does not answer or refuses the login
	CodeGitLab    Code = "gitlab"    // GitLab's API
	CodeNotice    Code = "notice"    // a receiver of notices
	CodeBranch    Code = "branch"    // what is followed cannot be followed
	CodeSignature Code = "signature" // no listed key signed the revision
	CodeFiles     Code = "files"     // the files of a revision
	CodeSecrets   Code = "secrets"   // decryption
	CodeVault     Code = "vault"     // Vault does not give a secret
	CodePolicy    Code = "policy"    // the node's policy
	CodePlan      Code = "plan"      // the plan cannot be made, or would take what it may not
	CodeGate      Code = "gate"      // a gate could not be asked
	CodeApply     Code = "apply"     // the engine refuses a write
	CodeVerify    Code = "verify"    // services or checks fail after the writes
	CodeRollback  Code = "rollback"  // a rollback is refused or fails
	CodeOther     Code = "other"     // none of the others
)

// coded is an error of a class.
type coded struct {
	error
	code Code
}

func (c coded) Unwrap() error   { return c.error }
func (c coded) FaultCode() Code { return c.code }

// WithCode gives each of the errors that err joins its class. For nil it returns nil.
func WithCode(err error, code Code) error {
	var all []error
	for _, one := range All(err) {
		all = append(all, coded{one, code})
	}
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// CodeOf gives the class of an error; "" if nothing in its tree has one. A type of error has one
// by a method FaultCode.
func CodeOf(err error) Code {
	var has interface{ FaultCode() Code }
	if errors.As(err, &has) {
		return has.FaultCode()
	}
	return ""
}
