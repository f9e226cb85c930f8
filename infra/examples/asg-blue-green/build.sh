# Makes a launch template version of the source, and writes what releases it. Instances begin with app.py as their user data.
set -eu
[ "$(head -c 2 app.py)" = "#!" ] || { echo "app.py must begin with #!" >&2; exit 1; }
version=$(aws ec2 create-launch-template-version \
  --launch-template-id "$LAUNCH_TEMPLATE" \
  --source-version '$Latest' \
  --version-description "build ${CODEBUILD_BUILD_NUMBER:-0}" \
  --launch-template-data "{\"UserData\": \"$(base64 -w0 app.py)\"}" \
  --query LaunchTemplateVersion.VersionNumber --output text)
printf '{"service": "%s", "version": {"launch_template_version": "%s"}}\n' "$SERVICE" "$version" | tee release.json
