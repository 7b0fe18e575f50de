package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"coin.internal/coin-agent/importer"
	"coin.internal/coin-agent/internal/fault"
)

const importHelp = `Bring a release directory of auto.sh into a working copy of the repository.

DIR has node.env, project.env, compose files, secrets/ and secrets.override.env.
The command writes the node's folder and its entry in config.yml. Each secret is
encrypted by the rules of .sops.yaml, which needs no private key. The names of
the secrets keep their versions, so that no task restarts. It writes nothing if

- settings look like secrets in plaintext: it names them. Move them to secrets,
  mark them as harmless with "not-a-secret" in a comment, or give --plaintext,
  which never writes the value of a secret that it encrypts;
- the node would not run what the directory describes: it names the difference.
  Correct it, or give --changes;
- files of the node exist and differ: give --overwrite.

An interrupted import is finished by the same command. It commits nothing. Then
compare with the running stack: agent diff. docs/import.md says how to delete
the directory afterwards.`

func importCommand(a *app) *cobra.Command {
	var request importer.Request
	var repo string
	cmd := &cobra.Command{
		Use:     "import DIR --environment E --node N -w STACK",
		Short:   "Bring a release directory of auto.sh into the repository, with its secrets encrypted",
		Long:    importHelp,
		Example: "  agent import ./25.22_sbx_2025-12-15-11eeef9e99-node-3 --environment sandbox --node node3 -n wlt-sbx-dkapp3-ams -w sbxapp3",
		Args:    takes(cobra.ExactArgs(1), fault.New(fault.Place{}, "agent import DIR --environment sandbox --node node3 -w sbxapp3", "name one release directory")),
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&repo, "repo", ".", "working copy of the repository")
	flags.StringVarP(&request.Flags.Node, "context", "n", "", "Docker context of the node; NAME.env is read first if it exists")
	flags.StringVarP(&request.Flags.Stack, "stack", "w", "", "name of the running stack")
	flags.StringArrayVarP(&request.Flags.Nodes, "node-env", "N", nil, "file with variables for the compose files (default node.env)")
	flags.StringArrayVarP(&request.Flags.Project, "project-env", "P", nil, "file with settings for the containers, in order (default project.env, project_NODE.env)")
	flags.StringArrayVarP(&request.Flags.Compose, "file", "f", nil, "compose file, in merge order (default docker-compose.yml, custom.secrets.yml, docker-compose-*.y*ml)")
	flags.StringVarP(&request.Flags.Secrets, "secrets-env", "s", "", "file with the versions of secrets (default secrets.override.env)")
	flags.BoolVar(&request.Plaintext, "plaintext", false, "write settings that look like secrets as they are")
	flags.BoolVar(&request.Changes, "changes", false, "accept specs that differ from those of the directory")
	flags.BoolVar(&request.Overwrite, "overwrite", false, "replace files of the node that exist and differ")
	flags.BoolVar(&request.DryRun, "dry-run", false, "show what would be written; exit code 3 if there are changes")
	output := outputFlag(cmd, "text", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.settings.Environment == "" || a.settings.Node == "" {
			return usageError{errors.New("name the environment and the node with --environment and --node")}
		}
		request.Dir, request.Environment, request.Node, request.Limits = args[0], a.settings.Environment, a.settings.Node, a.settings.Limits
		return runImport(cmd.Context(), a, repo, request, *output)
	}
	return cmd
}

// runImport imports, and prints the result; exit code 3 if nothing was written because of it, or if a dry
// run would write.
func runImport(ctx context.Context, a *app, repo string, request importer.Request, output string) error {
	var err error
	if err = forbidCoreDumps(); err != nil {
		return err
	}
	if request.Keys, err = a.keyring(); err != nil {
		return err
	}
	if request.Repo, err = importInto(repo); err != nil {
		return err
	}
	result, err := importer.Run(ctx, request)
	if err != nil {
		return err
	}
	return differentIf(result.Refused != "" || request.DryRun && result.Changing(), printScreen(a.stdout, output, importScreen, result))
}

// importInto gives the folder of the repository. The first node may have no environments/ yet.
func importInto(repo string) (string, error) {
	root, _, err := findRepository(repo)
	if err != nil {
		return absoluteFolder(repo)
	}
	return root, nil
}
