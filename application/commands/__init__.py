"""What callers may have changed: one file per command, and the table of them all."""

from __future__ import annotations

from application.bus import Handler
from application.commands import (
    change_email,
    change_picture,
    change_role,
    change_secret,
    change_tags,
    change_username,
    create_first_admin,
    disable_user,
    enable_user,
    issue_tokens,
    refresh_tokens,
    register_user,
    update_profile,
)

COMMANDS: dict[type, Handler] = {
    register_user.RegisterUser: register_user.handle,
    create_first_admin.CreateFirstAdmin: create_first_admin.handle,
    update_profile.UpdateProfile: update_profile.handle,
    change_tags.ChangeTags: change_tags.handle,
    change_picture.ChangePicture: change_picture.handle,
    change_email.ChangeEmail: change_email.handle,
    change_username.ChangeUsername: change_username.handle,
    change_role.ChangeRole: change_role.handle,
    change_secret.ChangeSecret: change_secret.handle,
    enable_user.EnableUser: enable_user.handle,
    disable_user.DisableUser: disable_user.handle,
    issue_tokens.IssueTokens: issue_tokens.handle,
    refresh_tokens.RefreshTokens: refresh_tokens.handle,
}
