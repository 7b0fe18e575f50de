#!/bin/bash
# The old deployment.sh, as its documentation describes it, with its mistakes: the flags, the
# order of files, the derived files, TAG_ and SV_, cron services, docker stack deploy and the
# wait. The tests compare `agent stack deploy` with it. It is for the tests only.

COMMAND=$1
shift
NODE_SETTINGS=()
PRODUCT_SETTINGS=()
COMPOSER=()
COMPOSER_SWARM_ARGS=()
while getopts "n:w:N:P:f:s:u" option; do
  case $option in
    n) NODE_NAME=$OPTARG ;;
    w) STACK_NAME=$OPTARG ;;
    N) NODE_SETTINGS+=("$OPTARG") ;;
    P) PRODUCT_SETTINGS+=("$OPTARG") ;;
    f) COMPOSER+=("$OPTARG"); COMPOSER_SWARM_ARGS+=(-c "$OPTARG") ;;
    s) SECRET_SETTINGS=$OPTARG ;;
    u) DO_UPDATE=yes ;;
    *) exit 1 ;;
  esac
done

# 1. Node-specific settings
if [ -f "$NODE_NAME.env" ]; then
  . "$NODE_NAME.env"
fi

# 2. Additional node settings
for NODE_SETTING in "${NODE_SETTINGS[@]}"; do
  . $NODE_SETTING
done

# 3. Project settings (combined)
bash -c "echo '' > .project.tmp.env"
for PRODUCT_SETTING in "${PRODUCT_SETTINGS[@]}"; do
  bash -c "cat $PRODUCT_SETTING >> .project.tmp.env"
done
export PROJECT_SETTINGS=.project.tmp.env

grep ^CLIENT_API .project.tmp.env | sed 's/^CLIENT_//' > .project.client.tmp.env
grep ^ADMIN_API .project.tmp.env | sed 's/^ADMIN_//' > .project.admin.tmp.env
grep ^I_CLIENT_API .project.tmp.env | sed 's/^I_CLIENT_//' > .project.i_client.tmp.env
grep ^REPORT_GENERATOR .project.tmp.env | sed 's/^REPORT_GENERATOR_//' > .project.renderer.tmp.env

# TAG_ variables of the compose files are TAG by default
IFS=$'\n' tag_vars=($(grep "TAG_" "${COMPOSER[@]}" | sed 's/.*\$TAG_/TAG_/'))
for tag_var in "${tag_vars[@]}"; do
  if [[ "${!tag_var}" == "" ]]; then
    eval "export $tag_var='$TAG'"
  fi
done

# SV_ variables of the compose files are 0 by default
IFS=$'\n' secret_vars=($(grep "SV_" "${COMPOSER[@]}" | sed 's/.*\.\$SV_/SV_/'))
for secret in "${secret_vars[@]}"; do
  if [[ "${!secret}" == "" ]]; then
    eval "export $secret='0'"
  fi
done
if [ -f "$SECRET_SETTINGS" ]; then
  . $SECRET_SETTINGS
fi

if [[ "$COMMAND" == "deploy" ]]; then
  if [ "$STACK_NAME" == "" ]; then
    echo "STACK_NAME required"
    exit 1
  fi
  if [[ "$DO_UPDATE" == "yes" ]]; then
    REGISTRY_AUTH="--with-registry-auth"
  fi
  CRON_SERVICE=$(docker service ls --filter name=${STACK_NAME}_cron --format '{{.Name}}')
  if [[ "$CRON_SERVICE" != "" ]]; then
    docker service scale $CRON_SERVICE=0
  fi
  docker stack deploy --prune "${COMPOSER_SWARM_ARGS[@]}" $REGISTRY_AUTH $STACK_NAME || exit 1
  while true; do
    is_ready=1
    for line in $(docker service ls --format '{{.Name}} {{.Replicas}}' | grep $STACK_NAME); do
      IFS=' /' read -r name running desired _ <<< "$line"
      re="migrate|test_setup"
      if ! [[ "$name" =~ $re ]] && [ "$running" -lt "$desired" ]; then
        is_ready=0
      fi
    done
    if [ $is_ready -eq 1 ]; then
      break
    fi
    sleep 5
    echo "Services are not ready"
  done
  echo "Done."
fi
