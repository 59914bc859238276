"""Four RSA keys that exist for tests only; their fingerprints are in the vectors. Made once, embedded as PKCS#8."""

from base64 import b64decode
from functools import cache

from candado.crypto.rsa import PrivateKey

_KEYS = {
    "alice": (
        "MIIEugIBADANBgkqhkiG9w0BAQEFAASCBKQwggSgAgEAAoIBAQCeVF6XeMoXMT5suXClhIJkDFv0Z8rP81AXWPSYkL"
        "sbiJ3ipZ/1ZSh8aN9TtvjmgYvgX2MS0eBXAfOBsd4mzu2cKur37gt4iI60GhIWZdhkIen8+vaoOMG21tLyL8pxMRsC"
        "hpn3Yei6oHD0gPnTUpOcqF0K6BiVqc8+f8wVxTsnYZZDkb+PaPL51BEA4Q3j9h0jTlpFnJMl6IAiTtfo90WuVY7uW9"
        "uKq3H81VyGcGoKJX3g1bGunLVnIR0TTi5M20T1ON83zozmgjkRANpcpWxiCtJLg31OXU++eWVZNp4zWrprSW8sO3Nl"
        "3RYQNXa1vp3NTidI5bPqFqdP3O4XEVc5AgMBAAECgf9haIbJqgarPiCpw20KZ/vQkcoBE9ozFf6wXoodUu3KgsKgLk"
        "W7NAE0iVDcsDVxm0HzSLwrV/Qtk4W8xTFnrueArObiohFslpc1NtTp8r6u3C6Y9c3KsSB83K3rUnu6J/v2Edmn2RTV"
        "vN/BjZgl6yflua+EhkaZzV8zlGx6+FzsXKVSdLZGR1GLvwvL1cv0Iz9t3+EPCdlpt+9I9rmrbAFTjVywoCUuENWXqC"
        "KfgWhGBZHSjfFaat6iYjUmZ9YYlVKcVSEPzh1nVSQWenGeyjzjRdPb97uYN1HgI8YYwVPkRPvERXKgIOX2i7kVCccO"
        "DSoi2xt/pEAvByb4RtK5g4ECgYEA1wiY1GM6yZ7KFBTLhDW5JXH2RsF7L0E4IBiKO5kA/lq4m0Q/vshSeYWPazj21V"
        "k1bnJTvkqeumUwc37t3U/ne508H5GOfi1sT3VfwA8w5K1ZXC+esqGZ1QrmHUp2yBSlWbDcahtX/PA1H5QYLl4EeBbu"
        "XDT0djhxJ14g+z9lMFkCgYEAvH5C0Zq4+1EuaPEnRCG/fA3K+m5STTd5W/gNvJp9txNREIcvEoKdNslexCY8lDzWTx"
        "NIoXVJMv/nKr5z1+SztyYpDqcrc/iPvqoQZBkP/HII4fu38ZVHRooxg9Af25H0KJfg4xm0SZzBqrIkAxytmZ+V2SFa"
        "fI4/XdCHda9NgeECgYA1zonng1j/gINSWQ2/7G2CyCx28g0v+uLfbSSR2yxbeTn+aCqHQ7sXe2syylNBeYwcMfFwiV"
        "2EiLOCAv3kRg1HakXUJGkCe71BeL5X4bU7U4ErxyKv0i4bGBoStEJauIfTlKTizCrNORIh773JRG9b2WkVm46cUm1G"
        "C5C3LdrVKQKBgHL7anNGONVF3lOx18wd8hsQpuNBbP8heex6UpbcfxewtuCoNjTKbHDBQgfRc17SBcFS+BlV3IM5y6"
        "AtcakfH+n3Y1BG9aDW3YjnYPxOtYu/XF/OF5VNBJ+pKS9JREXCsPgaPdsLEQlekF06MfGcCuINkXFUgUg91bW6wQcv"
        "Gs7BAoGAPXkfq48k4BUl4WENOO31/79qfGGvxVAPNuozW6YiFhAFvjcszFkH07O3m8A/JwAdOHnvZHf5ySgcAONuVb"
        "IfE4xq3t6/EOyWdIOg5AF1+o5MuNu4QCiv5rJP/f6b9ZkHw0wq1PirDxEruIKfx2TOIEIFFCPHPw0I0CbbiF15GIQ="
    ),
    "bob": (
        "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC5qDJc4+og2J/9xpMfmAB/GuR9OVrXsjwJyd1muh"
        "npYAyzf4GDwxKjFeauFzvZ05QzUJsHDgTVES1v+CqkwqZpT8VSQL4DD8Gc/9KdZ6OplvMlgB/ap2+O2OW2CsoWSmuG"
        "f4ZTcR54ru+4eKCzO9+WDvbsY7eM6k4Q39qNeaxUWYuMqYmyE1he3k0cLATRJ7AvpH+uscqLRIWhjPTxZe7XS9FicT"
        "Fg9IrNNtwGdknLy7Tf4/JW5mA0SNbAW+Ii6i+Ceyg9wKbMFdKxcl7ndKxYyF7wph1NI0wYgacwETSx2qpFFdZ3YeTp"
        "+qtzXE7HA/2ajjeqIXWEazj8cI13Ot/HAgMBAAECggEAFrf0rxXwwOOL8yOz6IooMrruuj16K/+ShebJjK2PSCtJwp"
        "lYFvCYZ5Phg5eHlRM6r8DYXQJOfb2OtYSaa0j/0M6YfdqQUJLtWrHvavWTZchOqV3GssdfHmLU+/Qmte2WFNemxK/d"
        "+Qn8fwgRL32kfESz20okhujmc/2AorlV6N2f6N9MNpoSgVzPCWVrrycE4bKJwqTwhKSMGRRYLhY+2YIKXueRAXocGt"
        "4woZsP87D+edqH6aMFYSiFVtzKsCbLyTqLmbWnsOzw1ypV19Q92vzkSLE4UklJB0IqT0PDOM18uH6j8QgjdTvDQOfF"
        "/kSRctSseTOslgJNn3FyHtpOKQKBgQD1FjNa0MgcbfWMuI6ro88MHeN+XJJSPOKJj9dzBURF6uHhaUJnIa4cT1xG0M"
        "UkYpt6tLxkRlezFPuuHOMgqaCpFsZ+ctuolScx3jvKBmuuyi3Qx51Huhlk3sHXJ/uk1tYgGNYlmL4lSy3VCGu2D/bg"
        "XnKJ14s09dXq3+qQeY5xxQKBgQDB7IscOv6xjB92gWos8pEhWV9XtIvsaE/EBuJWnMWJTsnwn8s6ylqAl4JjlsO05/"
        "CaLshfVjvGiWauGdJn3zJ6z6buixttfuqSLimkdk7gcqt5xpVEa/KG0NwOQRKOcY7sk6x0c+Q5mhRQy09f8lU2c2G0"
        "gkHLakKThw3RUA9gGwKBgQDIj+1gsSBBW56pFNL0FO43rTHg02KOV/LOvd6C6tlvGgLVEu1bNk2kLzGFZg0edG9l4A"
        "eXS5UzIMXBOzSHIyktlkzDZ7zn3X8gqQtmjRCMDjml8+R6sQlc6YnZR4f/4iuCQrDkPXXFURtljSmP6MqP29qBgNkT"
        "cuYm+iybJE50PQKBgGxPrbLq0G5iEQCjb6YDJUQ3IqVd1fkImeSm46v0i/AQ7YFT/rKrarj/5nexMUXNdfjnwEpfY6"
        "uT+qGrEnWpmAw4BsidMYiKpoFW/zM4UP3TjirJ230HvcHGzeG4PqEIlAdWw6+XOxVhFY+6vm6cbzOmZh/n0M/IXb8A"
        "Y5tQ2AWZAoGBAIH+LT+NCSZCM8EQVWde1wGLgWnn3AqQw2QCU3GtMeP82CGeUu2OomyPxTwiRk7GPaYlO3O3vdZ5Ub"
        "h2pF8D0uXAdsm994X69fvZzCZ8v2yy1dU+gE/Z+w70a54S4k1yI4fXmNn4/B6Ri799FBXJgCCYlG0+7OL2iUOhkj/J"
        "uNvz"
    ),
    "authority": (
        "MIIEvwIBADANBgkqhkiG9w0BAQEFAASCBKkwggSlAgEAAoIBAQCNgOryfNVa+UqouoHaGhgsWr7HOpkvJszFGw4Sc8"
        "fPppAgGdMkaBt3RH7sM5938H8teO5i+7IV3LB0/z2iPQt9rryKpwCxiCToaeZR69/IsiCUVmqNImXpAd2oIBE237II"
        "usZN/1n6EhkP8arknS1P6YCPPbLUeYAz8AHxdqz/IrnXn/GArtgusu/FtDc6Ep2xcNw+tYTys0Y9YHuc6vkeKmCBGt"
        "k8ZApmt7f71ebGvcdqGE1JQ59WPcScypGpnhHTRsOP58fww7ZvbCVTe2VQwpMXgoYzwYjXzij64pAKLILm2ju/1VVn"
        "TCrisZFMjqmPIkAAZmm4j5hDNeK7+U7pAgMBAAECggEAMvowqi8ixeVtah/Wy/X+o2wFssx/hycZOiEnDqq7XymIXq"
        "gvEryWuH7qorluR81SY9VfPDWk0I9y2pNhZuNLEnoy3liPvWVotnoASZ8KPck+R3JibHnp8OmFKx5yVSx9fPucmVjW"
        "12pRsRbFFBszycg7Ul9N35HuB8f9SzoP1NHqsdVfi+1d8R4zP9kuojpogagv4nZTVAQOxmVvllZOM7NqQTP7t7odoA"
        "eH2kAXNbDag2Wdw1/pM4/bKiANqpDeGMK5k1pdjIt/HF/MbefHJj1S2sr2T+55W+u3PdVsx8ZwAxQ5zkUOwruUIu+a"
        "sLnCD+sQkUaaPBRVVIbGXMJb6QKBgQC/4yZX5f3zDNDtmjeFujXDVEFXyyReWoRIQl3wYTqqx3zDOiLMTyjC5pyZU4"
        "SXHrJOiqRewbaaS3jCu6Yz+Htbm4i1gqfq0qGzSR1XY2CMU+8phxy9k9A4RWknIrKwCmZVqqA74d1BEbIDRta2FDcX"
        "iYi4Gp3dVHqjRvOAvPW+6wKBgQC8yEHPMoC7gx6/B8QZZvTJO0iGqAXB1sDoI1fVgl0Xj3Sf8Bfll4gIOEq+Lhj0r+"
        "qB9NrytD+pFCBW+XXR4JmQZuDVzFKy6EwsT4A3rkPHYOwJFT8QDEEarbT4uDyZDVYQVVuUwYIN9geMvtY4OgHLeIsl"
        "39m6kvtfzMnB1Ja8ewKBgQCCZeKQqQLCQFtanApPHhObAY7GEo5McEaktDUSPYCYvafTI5ayMLkKeZzBtTfNWlbheO"
        "XqXsmwYMlXzB1OA/YQcsmcT4W81hZ8t5rw39+kfQVxuxeU3PYKx2CF79ZuOyL/5EuvZfXtWhEWmPUgFuy5WgVG1w+g"
        "cOBGRNkFC2QUsQKBgQCH9LjgXYC0imO0NAWYPbuAyP8caxlqVh0rkXiKPY6JjzjwjlrHcG/5a4D4of47Cg4bdZnRPN"
        "q0C9iWiqW9dsFha5X0o2fTjNR+/OpcL1aE2lpi2DhIeGrSqdMxZI3Ps/kNXkvMP+hH4a3iQPXKHIx6Wt/rcOE/Kud6"
        "QOP0ggPkzQKBgQCTityTz6D28LHlklCCbv6A7r4DCRMjorXSm9dZOxcOBKy58AkYmjfg23RhTjMDizbBpGzoIefpZf"
        "JCBrw2pMxXN6dZQ7riYEKSlWUgiFpZON4/svMIfWqzxlrL1F7QLafyBSSb8s51ujq8WLcM2HyBiWVHUv28GwBUojcm"
        "IQAwpA=="
    ),
    "mallory": (
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQDuEYParbpniWgeqdLZkyFYxP81e3rV8vPemZgiE9"
        "l8xoW2pVuR9uLdkoRjH0IhSNM+aerxv0F4VYYggxezJeFXCWXzzH1mz312yfNe2K7hekgIGgZRFaVP4zk5QmC8iVb3"
        "A6iALpf/GpA4CZujQJWobFJfavQwkNl0iFZLh3Dq2f/U0Kc3a9TEm/JQvOX/km/Fo87YpeWze5LYWvHBCSK/QvLv1D"
        "G5VFp+Sg7fYpPZdMJ5vG95bqvtkKRwuUJMZkjuBsLz11ALvvzrtvzX4SfhGCf1p2kM9nrfWxeRdtHurg9GJ3YTlIOs"
        "hDHtWJbHpJlHvESe2ud3ZcEgj1rOaOadAgMBAAECggEAALIM53UKQtZjm83lbB8Wz6wv8tQD/NGGx8s9S29VxJNNeO"
        "q8rxIFCrnjUcSsAMBkCVB2+UmdyiusXWQqXj0CxWpcJjZeQ0cYHrSdsScQ1bqWVVtwraQuAxDFsrROHmbjmecSOep/"
        "yfdBS0ALpmSOBISyfw2Cngy0ke5V5MbPMwkDfoBt8Dl49kUzfdkqx3Y6AQXCBLmoGmjldFGJO3tt3uLF5kNMaoUJQg"
        "ovMLMQZgxJXZxCpUZne2cuzrGvv7ULAs/DIFMjUUo9Srw+d8HEsmOeUCvw4hxZpB+3eiAhJAY6/Xip4wnEXfbmt095"
        "fJnSYCg8sbCxsVNOn5ohxDJnSQKBgQD49hq4ckoB2klgG5MOdQ4AiN7u89o7HdwgUxsSB2ChISWxAN3r8YRG3/ENTa"
        "2zQgmHZfjyLymP15NTAsQwwTHUbKO3uv5Y33+RHLIoSovng4LtTdTG7dwmiSJlKYNFgF1Zd/9zzq8VAmmYjJFqF1D+"
        "9ESmG/JZDOcvxdC2XlGz+QKBgQD0zJJLTJTNAO4VmoU2cYkERgRgzLuo97TtMgeyboTXV3CV+ihpdLExE17DXCumO0"
        "u79IIoAUkciNohOJQQffgjhV34Pl4lu22t1gnDgNcm2KYaCPIHVcDvR6f3z2I3dwkDwPZMHGMx/vunLpMDhV3mqY6k"
        "xMPZH0jqMxpoNl6oxQKBgAvJo0Q+bRCfZD//rjvOAQa3dE6+DwQjisuhA7Qb01BtwFocH2XPfqLYcZJeri3Bn6/gfS"
        "QCZaZg36HbjKx+STy0lB/b47UTh/e38xuDRBKHIIjZ2Yw9sOHGNnGxwHxm8oSM8PRrwdBt19AYP75VMkmQCTwQMK5U"
        "tRGG/TXVS2sJAoGBAO3NjI/5ZNOBA8eYw6+PuzqbicU/HU2W0/tXjoKXOhS2rHgE+xz2burtljDRaNWi5H9Blu6l0R"
        "AXIU8EV1FuDY70D8UHUQ32dSVZt0Jj9p2V+EVySys08qd/RHxGyXJ4ABnVaW2mZfY7bNuLMuVIuV9Jd3g4bMiOy5Y2"
        "7oAt0ObBAoGAajyW2iOsO+ANxKKT0YJTVS3d/1uYM4wLtDstip8iHwYtPvCHRF7DBAIocF/7IAJCk2vGOgqVSXXaU9"
        "dGwPLdgr3I0HypVOoOQ9Gi/x8/RtHq2s2QJGcauTnJcNgPmtdS8+vxKCeGhCF+2I76hlowUau9OmCdhwG5qSjD+2CW"
        "R3Y="
    ),
}


@cache
def private_key(name: str) -> PrivateKey:
    """The key of ``alice``, ``bob``, ``mallory`` or the ``authority``."""
    return PrivateKey.from_pkcs8_der(b64decode(_KEYS[name]), check=False)
