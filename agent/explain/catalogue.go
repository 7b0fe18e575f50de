package explain

import "coin.internal/coin-agent/internal/fault"

// here are the classes of errors that the machine and its user cause.
var here = []Entry{
	{
		fault.CodeUsage, "The command line is wrong",
		"A flag, an argument or a value is unknown or missing, or two flags cannot be used together. Nothing was asked or changed.",
		[]string{"`agent COMMAND --help`: the usage, the flags, and an example"},
		"Correct the command line.",
	},
	{
		fault.CodeSettings, "The settings are wrong",
		"agent.yml, a flag or a COIN_AGENT_ variable has an unknown name or a value that the agent does not take. The daemon does not start with wrong settings.",
		[]string{"the file and line that the error names", "`agent doctor`: whether the settings work", "`agent run --help`: all settings"},
		"Correct the setting, then `systemctl restart coin-agent`.",
	},
	{
		fault.CodeDaemon, "No agent answers",
		"The daemon does not run, its socket is elsewhere, or the agent of another node cannot be reached.",
		[]string{"`systemctl status coin-agent`", "`journalctl -u coin-agent -n 50`: why it ended", "`socket` in agent.yml, or --socket", "with --host: the address, the certificate and the token"},
		"`systemctl start coin-agent`. The services keep running while the daemon does not.",
	},
	{
		fault.CodeRefused, "The agent does not grant the request",
		"The request does not fit the present state, the caller may not make it, or its target does not exist.",
		[]string{"the hint of the error", "`agent status`: what runs now"},
		"Follow the hint, or make the request again when the state has changed.",
	},
	{
		fault.CodeState, "The state file cannot be used",
		"state.db is damaged, belongs to another node, or is of a newer version of the agent.",
		[]string{"`agent doctor`: the line state", "the disk: `df -h`, `dmesg`"},
		"Restore state.db from a backup, or move it away: the agent then adopts the running stack anew, without its history.",
	},
	{
		fault.CodeOther, "An error without a class",
		"The error belongs to none of the other classes.",
		[]string{"the text and the hint of the error", "`agent doctor`", "`journalctl -u coin-agent`"},
		"Follow the hint. If there is none, report the error with the lines of the log around it.",
	},
}

// outside are the classes of errors of what the agent depends on.
var outside = []Entry{
	{
		fault.CodeEngine, "The engine cannot be used",
		"The engine does not run or does not answer in time, the agent may not use it, or its Swarm has lost its quorum. Nothing is wrong with the commit: it is tried again automatically.",
		[]string{"`systemctl status docker`", "`docker info`: does it answer, and is this node a manager?", "`docker node ls`: do most managers run?", "`agent doctor`: the lines engine and swarm"},
		"Start or repair the engine. The agent continues by itself.",
	},
	{
		fault.CodeRegistry, "The login of a registry cannot be read",
		"The file with the credentials of the registries is missing, is not private, or is not a docker config.json.",
		[]string{"`agent doctor`: the line registries", "owner and mode of the file"},
		"Write the file again with `docker login`, mode 0600. The agent reads it at the next sync.",
	},
	{
		fault.CodeGit, "The git remote cannot be read",
		"The remote does not answer, has no such repository or commit, refuses the token or key, or its host key is not trusted. The services keep running, and the agent looks again.",
		[]string{"`agent doctor`: the line git", "`git ls-remote` with the same address and credentials", "when the token expires"},
		"Repair the network, or renew the token or key in its file. No restart is needed.",
	},
	{
		fault.CodeGitLab, "GitLab does not take what the agent sends",
		"GitLab does not answer, refuses the token, or refuses a status. Rollouts go on, and statuses are sent later.",
		[]string{"`agent status --all`: the line gitlab", "`agent doctor`: the line gitlab", "scope, role and expiry of the token"},
		"Renew the token in its file. What waits is sent then.",
	},
	{
		fault.CodeNotice, "A receiver does not take a notice",
		"The receiver does not answer or refuses the message, or agent.yml has no address for a receiver that config.yml names. Rollouts go on, and notices are sent later.",
		[]string{"`agent status --all`: the lines notices", "`agent doctor`: the line notices", "`via` in config.yml, and the settings of the receivers in agent.yml"},
		"Repair the receiver, or set its address in agent.yml and restart the agent. What waits is sent then.",
	},
	{
		fault.CodeBranch, "What is followed cannot be followed",
		"The branch's history was rewritten, or the branch or tag does not exist.",
		[]string{"`git log` of the branch: who pushed what?", "`branch` or `tag_pattern` in agent.yml"},
		"Restore the branch. If the rewrite was intended, set `allow_rewrite` and restart the agent. If the remote no longer has the commit that was synced last, run `agent sync` then.",
	},
}

// release are the classes of errors of a revision and its rollout.
var release = []Entry{
	{
		fault.CodeSignature, "No listed key signed the revision",
		"`policy.signers` demands a signature of a listed key, and the commit or tag has none. None of its files was read.",
		[]string{"`git log --show-signature -1`", "`agent policy show`: who may sign"},
		"Have a listed person sign it. If the key is to be listed, change `policy.signers`, then `agent retry`. If no user knows the commit, find out who can push.",
	},
	{
		fault.CodeFiles, "A file of the revision is wrong",
		"config.yml, a settings file, the list of files or a compose file cannot be read or has a wrong value. Nothing was written.",
		[]string{"the file and line that the error names", "`agent check` in a clone: all errors of all nodes", "`agent render --repo .`: what would be deployed"},
		"Correct the file by a merge. `agent check` in the pipeline finds it before the merge.",
	},
	{
		fault.CodeSecrets, "A secret cannot be decrypted",
		"No key of this node opens the file, the file is not encrypted, or it was changed after its encryption.",
		[]string{"`agent doctor`: the line keys", "`sops filestatus FILE`; for a file of keys in YAML with `--input-type yaml`", "the recipients in the file: is this node's key one of them?"},
		"Encrypt the file for this node: `sops updatekeys FILE` (for a file of keys in YAML with `--input-type yaml`), and merge it. A file in the clear is to be treated as leaked: rotate its values.",
	},
	{
		fault.CodeVault, "Vault does not give a secret",
		"Vault is not reachable, sealed, or refuses the login: the agent tries again automatically, and the services keep running. Or Vault refuses a path, or a version or key does not exist: that holds the commit.",
		[]string{"`agent doctor`: the lines vault and manifests", "`vault status`, and `vault kv metadata get` with the path that the error names", "the capabilities of the agent's role on that path, and the files of its login", "policy.vault.paths and vault_prefix in agent.yml"},
		"Repair Vault or the login: no restart is needed. Else correct the reference after `vault:` in the SOPS file, or the rights of the role, then `agent retry`.",
	},
	{
		fault.CodePolicy, "The node's policy refuses the commit",
		"The commit wants what the node's own agent.yml does not allow. Nothing was written.",
		[]string{"the file and line that the error names", "`agent policy show`: the rules in force", "`agent policy test`: what they refuse"},
		"Change the commit. If it is to be allowed, the node's operator changes the policy and reloads it.",
	},
	{
		fault.CodePlan, "The plan cannot be made",
		"An image does not exist or is not signed, an object belongs to another stack, or a secret has a new value under its old name. Nothing was written.",
		[]string{"`agent diff`", "`docker manifest inspect IMAGE`", "`docker service ls --filter label=com.docker.stack.namespace=STACK`"},
		"Push or sign the image, give the object another name, or raise the version of the secret. Then merge, or `agent retry`.",
	},
	{
		fault.CodeGate, "A gate cannot be asked",
		"What a gate has to know could not be read: GitLab, another node's status, or the release checks.",
		[]string{"`agent status`: which gate", "`agent doctor`"},
		"Repair what does not answer. The gate is asked again at each look.",
	},
	{
		fault.CodeApply, "The engine refuses a write",
		"The engine does not accept a network, secret, config or service of the plan. A part of the plan may be written.",
		[]string{"`agent show latest`: what was written", "`journalctl -u docker`"},
		"Correct the object by a merge. If the cause was elsewhere: `agent retry`. `agent rollback` returns to the last good state.",
	},
	{
		fault.CodeVerify, "Services or checks fail after the writes",
		"A service does not run, is not healthy, or a check of config.yml does not pass in its time.",
		[]string{"`agent show latest`: each service with its last error and log", "`agent logs SERVICE --failed`", "`docker service ps --no-trunc SERVICE`"},
		"Correct the release by a merge, or `agent rollback`. If the cause was elsewhere: `agent retry`.",
	},
	{
		fault.CodeRollback, "A rollback is refused or fails",
		"There is no good state, migrations lie between, or the services of the good state are not healthy now.",
		[]string{"`agent show latest -o report`", "`agent history`: which states are good", "`agent rollback --dry-run`"},
		"Decide with the report: correct the release by a merge, or `agent rollback --to N`. --force-migrations accepts a database that is newer than the release.",
	},
}
