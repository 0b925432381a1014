"""A mail server of Debian's python3-aiosmtpd for one test.

server.py CERTIFICATE KEY PASSWORD starttls|tls: prints its port, then each
letter as a line of JSON, until its input ends.
"""
import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Inbox:
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "letter": envelope.content.decode("ascii"),
            "user": (session.auth_data.login.decode() if session.auth_data else ""),
            "tls": session.ssl is not None or sys.argv[4] == "tls",
        }), flush=True)
        return "250 2.0.0 kept"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("gone@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"


def authenticate(password):
    def check(server, session, envelope, mechanism, data):
        return AuthResult(success=data.password.decode() == password, handled=False, auth_data=data)
    return check


async def main():
    certificate, key, password, mode = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def session():
        if mode == "tls":
            return SMTP(Inbox(), hostname="mail.example", authenticator=authenticate(password), auth_require_tls=False)
        return SMTP(Inbox(), hostname="mail.example", tls_context=context, require_starttls=True, authenticator=authenticate(password))

    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=context if mode == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
